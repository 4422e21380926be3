-- The chat scenario for wrk: one small JSON document, sent again and again.
wrk.method = "POST"
wrk.body = '{"text": "hello"}'
wrk.headers["Content-Type"] = "application/json"
