// What the server is asked.

// A browser gives up requests when a network interface comes or goes, as with every container that starts.
async function fetched(address, tries = 3) {
  try {
    return await fetch(address, { headers: { accept: "application/json" } });
  } catch {
    if (tries <= 1) throw new Error("The viewer does not answer. Is tracebaton view still running?");
    await new Promise((done) => { setTimeout(done, 200); });
    return fetched(address, tries - 1);
  }
}

export async function ask(path, parameters = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== undefined && value !== null && value !== "") query.set(name, value);
  }
  const text = query.toString();
  const answer = await fetched(text ? `${path}?${text}` : path);
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
