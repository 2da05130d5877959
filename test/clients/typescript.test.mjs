// The TypeScript MCP client, from the URL of an MCP server to a tool call.
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { after, before, test } from 'node:test';
import {
  Client,
  ClientCredentialsProvider,
  PrivateKeyJwtProvider,
  StreamableHTTPClientTransport,
  UnauthorizedError,
} from '@modelcontextprotocol/client';
import { button, launch, logIn } from './lib/browser.mjs';
import { listen } from './lib/loopback.mjs';
import { Person } from './lib/person.mjs';
import { RememberingProvider } from './lib/provider.mjs';
import {
  deleteClient,
  introspect,
  issuer,
  mcpStatus,
  mcpURL,
  post,
  register,
  registerForPeople,
  revokeByAdmin,
} from './lib/server.mjs';

let browser;
before(async () => (browser = await launch()));
after(() => browser.close());

async function connect(t, authProvider) {
  const transport = new StreamableHTTPClientTransport(new URL(mcpURL), { authProvider });
  const client = new Client({ name: 'test', version: '1' });
  await client.connect(transport);
  t.after(() => client.close());
  return client;
}

async function callTool(client) {
  const result = await client.callTool({ name: 'search', arguments: { query: 'fosite' } });
  assert.ok(!result.isError && result.content.length > 0, JSON.stringify(result));
}

async function machine(t, provider, id) {
  const client = await connect(t, provider);
  await callTool(client);
  const first = provider.tokens().access_token;
  const { active, client_id: owner, scope, aud } = await introspect(first);
  assert.deepEqual({ active, owner, scope, aud }, { active: true, owner: id, scope: 'mcp:search', aud: [mcpURL] });

  await revokeByAdmin(first);
  assert.equal(await mcpStatus(first), 401);
  await callTool(client); // with a new token, because the client is as good as before
  assert.notEqual(provider.tokens().access_token, first);

  await deleteClient(id);
  await assert.rejects(callTool(client));
}

test('ClientCredentialsProvider', async (t) => {
  const { client_id: clientId, client_secret: clientSecret } = await register({ client_name: 'agent' });
  await machine(t, new ClientCredentialsProvider({ clientId, clientSecret, expectedIssuer: issuer }), clientId);
});

for (const [algorithm, type, options] of [
  ['ES256', 'ec', { namedCurve: 'P-256' }],
  ['RS256', 'rsa', { modulusLength: 2048 }],
]) {
  test(`PrivateKeyJwtProvider with ${algorithm}`, async (t) => {
    const { publicKey, privateKey } = generateKeyPairSync(type, options);
    const { client_id: clientId } = await register({
      client_name: 'agent with a key',
      token_endpoint_auth_method: 'private_key_jwt',
      jwks: { keys: [publicKey.export({ format: 'jwk' })] },
    });
    const key = privateKey.export({ type: 'pkcs8', format: 'pem' });
    await machine(t, new PrivateKeyJwtProvider({ clientId, privateKey: key, algorithm, expectedIssuer: issuer }), clientId);
  });
}

/** A client that is registered already. It cannot register anew. */
class InteractiveProvider extends RememberingProvider {
  saveClientInformation = undefined;

  constructor(client, redirect) {
    super();
    this.redirectUrl = redirect;
    this.clientMetadata = { client_name: client.client_name, redirect_uris: [redirect] };
    this.client = { client_id: client.client_id, issuer };
  }

  invalidateCredentials = (scope) => {
    if (scope === 'all' || scope === 'tokens') {
      this.saved = undefined;
    }
  };
}

/** Someone at Chromium. */
async function atTheBrowser(t, client, url) {
  const page = await browser.newPage();
  t.after(() => page.close());
  const answer = client.next();
  await page.goto(url.href);
  await logIn(page);
  await button(page, 'Allow').click();
  return answer;
}

const someone = new Person();
const byForms = (t, client, url) => someone.authorize(url, client.redirect);

for (const [how, authorize] of [
  ['at a browser', atTheBrowser],
  ['with forms', byForms],
]) {
  test(`the authorization code flow, ${how}`, async (t) => {
    const program = await listen(t);
    // Registered without the port, which the operating system has chosen for this run (RFC 8252 §7.3).
    const redirect_uris = ['http://127.0.0.1/callback'];
    const registration = await registerForPeople({ client_name: 'desktop app', redirect_uris });
    const provider = new InteractiveProvider(registration, program.redirect);
    const transport = new StreamableHTTPClientTransport(new URL(mcpURL), { authProvider: provider });
    await assert.rejects(new Client({ name: 'test', version: '1' }).connect(transport), UnauthorizedError);

    const { searchParams: answer } = await authorize(t, program, provider.authorizationURL);
    assert.equal(answer.get('state'), provider.expectedState);
    assert.equal(answer.get('iss'), issuer);
    await transport.finishAuth(answer);

    const client = await connect(t, provider);
    await callTool(client);
    const first = provider.saved;
    const { active, username } = await introspect(first.access_token);
    assert.deepEqual({ active, username }, { active: true, username: 'ada' });

    // An access token that is not good any more is replaced without asking the person.
    provider.saved = { ...first, access_token: `${first.access_token}x` };
    await callTool(client);
    assert.notEqual(provider.saved.access_token, first.access_token);
    assert.notEqual(provider.saved.refresh_token, first.refresh_token, 'a public client gets a new refresh token (OAuth 2.1 §4.3.1)');

    // After the client has revoked its refresh token, the next call asks for a login.
    const last = provider.saved;
    const revoked = await post('revoke', { token: last.refresh_token, client_id: registration.client_id });
    assert.equal(revoked.status, 200);
    assert.equal(await mcpStatus(last.access_token), 401);
    provider.authorizationURL = undefined;
    await assert.rejects(callTool(client), UnauthorizedError);
    assert.ok(provider.authorizationURL, 'the client wants to ask the person again');
  });
}
