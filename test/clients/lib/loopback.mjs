// A client's program on the person's device: it waits on a loopback port for the answer of the authorization server.
// Hosted pages of clients are played by loopback ports, too: each is an origin of its own.
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

/** A hosted page on an origin of its own until the test ends: answer is called with each request. */
export async function host(t, answer) {
  const server = http.createServer(answer);
  await new Promise((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
  server.unref();
  t.after(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  return `http://localhost:${server.address().port}`;
}

/** A hosted callback that hands the answer on to another address, as https://vscode.dev/redirect does. */
export async function hostedCallback(t, target) {
  const origin = await host(t, (request, response) => {
    response.writeHead(302, { Location: target + new URL(request.url, origin).search }).end();
  });
  return `${origin}/callback`;
}
