// A guard for an MCP server in Node 18 or later, on nothing but Node. It asks the authorization server about the token of each
// request (RFC 7662), so that a revoked token is refused at its next use. Put your MCP server in place of the last lines.
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';

const { MCP_RESOURCE: resource = 'http://127.0.0.1:9000/authed/mcp', // the URL that clients use
  MCP_ISSUER: issuer = 'http://127.0.0.1:8080', // the authorization server: https, but on this machine
  MCP_CLIENT_ID: clientID, // of a client with "introspects": [the resource]
  MCP_CLIENT_SECRET_FILE: secretFile,
  MCP_CACHE: bound } = process.env; // keep answers, and refuse a revoked token within so many seconds: takes cache.mjs
if (!clientID || !secretFile) {
  console.error('Set MCP_CLIENT_ID and MCP_CLIENT_SECRET_FILE: a client that introspects ' + resource);
  process.exit(1);
}
const oauth = `${issuer}/authed/mcp/oauth`;
const scopes = ['mcp:search']; // a token needs all of them
const { origin, pathname } = new URL(resource);
const metadataPath = '/.well-known/oauth-protected-resource' + (pathname === '/' ? '' : pathname);
const metadata = JSON.stringify({ resource, authorization_servers: [issuer], scopes_supported: scopes, bearer_methods_supported: ['header'] });

// protect calls handler(request, response, token) for requests with a good token; token is the server's answer about it.
export function protect(handler) {
  return async (request, response) => {
    if (request.url.split('?')[0] === metadataPath) { // RFC 9728
      return response.writeHead(200, { 'Content-Type': 'application/json', 'Access-Control-Allow-Origin': '*' }).end(metadata);
    }
    const { token, status, headers } = await check(request.headersDistinct.authorization ?? []);
    return token ? handler(request, response, token) : response.writeHead(status, headers).end();
  };
}

async function check(authorization) {
  if (authorization.length > 1) return refuse(400, 'invalid_request');
  const credentials = /^Bearer +([\w.~+/-]{1,8192}=*)$/i.exec(authorization[0]?.trim() ?? '');
  if (!credentials) return refuse(401);
  try {
    const token = await answer(credentials[1]);
    const late = token.exp !== undefined && token.exp + 60 <= Date.now() / 1000; // clocks may be a minute apart
    if (!token.active || late || token.cnf != null || ![token.aud].flat().includes(resource)) return refuse(401, 'invalid_token');
    const granted = (token.scope ?? '').split(' ');
    return scopes.every((scope) => granted.includes(scope)) ? { token } : refuse(403, 'insufficient_scope');
  } catch (error) { // never 401: a client would throw a good token away
    console.error('A token cannot be checked:', error.message, error.cause?.code ?? '');
    return { status: 503, headers: { 'Retry-After': '5' } };
  }
}

function refuse(status, error) {
  const challenge = `Bearer resource_metadata="${origin}${metadataPath}", scope="${scopes.join(' ')}"`;
  return { status, headers: { 'WWW-Authenticate': error ? `${challenge}, error="${error}"` : challenge } };
}

// ask returns the server's answer about a token, or throws: whatever is no clear answer says nothing about the token.
async function ask(token) {
  const answer = await call('/introspect', 5000, { method: 'POST', body: new URLSearchParams({ token }) });
  if (typeof answer?.active !== 'boolean' || !['number', 'undefined'].includes(typeof answer.exp) || !['string', 'undefined'].includes(typeof answer.scope)) {
    throw new Error('the answer is not an introspection response (RFC 7662): correct MCP_ISSUER');
  }
  return answer;
}

// feed returns the page of revocations that comes after a cursor, or throws. The server waits so many milliseconds for news.
const feed = (after, wait) => call(`/revocations?${new URLSearchParams({ after, wait: wait / 1000, resource })}`, wait + 5000, {});

// answer is ask, or remembers.
const answer = bound ? (await import('./cache.mjs')).keeping(ask, feed, bound * 1000) : ask;

async function call(path, timeout, request) {
  const secret = (await readFile(secretFile, 'utf8')).trim(); // each time, so that it is replaced without a restart
  const encoded = [clientID, secret].map((part) => new URLSearchParams({ '': part }).toString().slice(1)); // RFC 6749 §2.3.1
  const response = await fetch(oauth + path, {
    ...request, redirect: 'manual', signal: AbortSignal.timeout(timeout),
    headers: { Authorization: 'Basic ' + Buffer.from(encoded.join(':')).toString('base64'), Accept: 'application/json' },
  });
  const body = await response.text();
  if (response.status === 401 || response.status === 403) {
    throw new Error('the authorization server refuses this service itself: correct MCP_CLIENT_ID or the secret in MCP_CLIENT_SECRET_FILE');
  }
  if (response.status !== 200) throw new Error(`the authorization server answers with status ${response.status}`);
  return parse(body);
}

function parse(body) {
  try { return JSON.parse(body); } catch { return undefined; } // its error would quote the answer
}

const [host, port] = (process.env.MCP_LISTEN ?? '127.0.0.1:9000').split(':');
const timely = { headersTimeout: 5000, requestTimeout: 5000, connectionsCheckingInterval: 1000 }; // a token may be revoked while its request arrives
createServer(timely, protect((request, response, token) => {
  request.resume().on('end', () => { // where a token has sub_id, that is who it is: the same sub of another issuer is somebody else
    response.end(`Hello ${token.sub}\n`);
  });
})).listen(port, host, () => console.error(`${resource} on ${host}:${port}, for tokens of ${issuer}`));
