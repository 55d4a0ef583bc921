"""The HTTP shell: what every HTTP front end stands in.

It needs the extra `web` (Starlette, uvicorn), so import it within `needs("web", "...")`:

- `app.HttpApp(routes, policy)` is an ASGI app of Starlette routes: security headers, Host and
  Origin checks, CORS for listed origins, bounded bodies, JSON errors. A handler raises the errors
  of `service.errors`, and reads its body with `await request.body()`.
- `policy.Policy` says whom it serves, and how large and slow a body may be.
- `static.resource_routes(table)` serves files of a package by an explicit table.
- `errors.error_response(error)` is the one shape of an error, where a handler answers with it.
- `server.HttpServer(app, "127.0.0.1:0")` runs it in the event loop that is running:
  `port = await server.start()`, later `await server.stop(seconds)`. Signals are left alone.
"""
