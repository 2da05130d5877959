// A client's program on the person's device: it waits on a loopback port for the answer of the authorization server.
import http from 'node:http';

/** Listens on a free port until the test ends, on 127.0.0.1 unless told otherwise. */
export async function listen(t, { host = '127.0.0.1', name = host } = {}) {
  const answers = [];
  const waiting = [];
  const server = http.createServer((request, response) => {
    const url = new URL(request.url, redirect);
    if (url.pathname !== '/callback') {
      response.writeHead(404).end();
      return;
    }
    response.setHeader('Content-Type', 'text/html; charset=utf-8');
    response.end('<!doctype html><html lang="en"><title>Done</title><h1>Back at the client</h1></html>');
    answers.push(url);
    waiting.splice(0).forEach((resolve) => resolve(url));
  });
  await new Promise((resolve, reject) => server.once('error', reject).listen(0, host, resolve));
  server.unref(); // a test that fails before it has closed the server does not keep the process
  const redirect = `http://${name}:${server.address().port}/callback`;
  t.after(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  return {
    redirect,
    answers,
    /** The next answer. Call it before the browser may go there. */
    next: () => new Promise((resolve) => waiting.push(resolve)),
  };
}
