// The server under test as its administrator and its resource server see it. The Go test that runs these files starts
// it and passes the addresses in the environment.
import assert from 'node:assert/strict';

function required(name) {
  const value = process.env[name];
  if (!value) {
    throw new Error(`${name} is missing: these files are run by "go test ./test", which starts the server`);
  }
  return value;
}

export const mcpURL = required('MCP_URL'); // the sample MCP server, which is all that a client is told
export const issuer = required('ISSUER');
export const pages = `${issuer}/authed/mcp/oauth`;
export const account = { username: required('LOGIN_USERNAME'), password: required('LOGIN_PASSWORD') };

export const adminURL = required('ADMIN_URL');
export const adminKey = required('ADMIN_KEY');

/** A request to the admin API. */
export async function asAdmin(method, path, body) {
  const response = await fetch(`${adminURL}/admin/v1${path}`, {
    method,
    headers: { Authorization: `Bearer ${adminKey}`, ...(body && { 'Content-Type': 'application/json' }) },
    body: body && JSON.stringify(body),
  });
  const text = await response.text();
  assert.ok(response.ok, `${method} ${path}: ${response.status} ${text}`);
  return text ? JSON.parse(text) : undefined;
}

/** Registers a client and returns the answer: client_id, client_secret and the rest. */
export const register = (client) => asAdmin('POST', '/clients', client);

/** Registers a client that people log in with. Without a method of authentication it is public. */
export const registerForPeople = (client) =>
  register({
    grant_types: ['authorization_code', 'refresh_token'],
    token_endpoint_auth_method: 'none',
    ...client,
  });

export const deleteClient = (id) => asAdmin('DELETE', `/clients/${id}`);
export const revokeByAdmin = (token) => asAdmin('POST', '/tokens/revoke', { token });

let resourceServer;

/** What the resource server learns about a token (RFC 7662). */
export async function introspect(token) {
  resourceServer ??= register({ client_name: 'resource server', introspects: [mcpURL] });
  const { client_id: id, client_secret: secret } = await resourceServer;
  const { status, body } = await post('introspect', { token }, `Basic ${btoa(`${id}:${secret}`)}`);
  assert.equal(status, 200);
  return body;
}

/** Posts a form to an OAuth endpoint. */
export async function post(endpoint, form, authorization) {
  const response = await fetch(`${pages}/${endpoint}`, {
    method: 'POST',
    body: new URLSearchParams(form),
    headers: authorization && { Authorization: authorization },
  });
  const text = await response.text();
  return { status: response.status, body: text && JSON.parse(text) };
}

/** The status that the MCP server answers to a bearer of this token. */
export async function mcpStatus(token) {
  const response = await fetch(mcpURL, {
    method: 'POST',
    headers: {
      Authorization: `Bearer ${token}`,
      'Content-Type': 'application/json',
      Accept: 'application/json, text/event-stream',
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list' }),
  });
  await response.arrayBuffer();
  return response.status;
}
