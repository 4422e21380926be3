// What the server is asked.

export async function ask(path, parameters = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== undefined && value !== null && value !== "") query.set(name, value);
  }
  const text = query.toString();
  let answer;
  try {
    answer = await fetch(text ? `${path}?${text}` : path, { headers: { accept: "application/json" } });
  } catch {
    throw new Error("The viewer does not answer. Is tracebaton view still running?");
  }
  let body = null;
  try {
    body = await answer.json();
  } catch {
    // An answer without JSON is described by its status alone.
  }
  if (!answer.ok) {
    throw new Error(body && body.error ? body.error : `The viewer answered ${answer.status} to ${path}.`);
  }
  return body;
}
