// What lies beyond the server's own origin, in Chromium: hosted callbacks that redirect on, applications with schemes of
// their own, and pages of other origins that call the server.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { introspect, issuer, mcpURL, pages, register, registerForPeople } from './lib/server.mjs';
import { browserForTests, button, heading, logIn, openDesktop } from './lib/browser.mjs';
import { host, hostedCallback, listen } from './lib/loopback.mjs';
import { authorizationRequest } from './lib/pkce.mjs';

const open = browserForTests();

/** The tokens for an answer that has arrived. */
async function redeem(request, answer) {
  assert.equal(answer.searchParams.get('state'), request.state, answer.href);
  const { status, body } = await request.redeem(answer.searchParams.get('code'));
  assert.equal(status, 200, JSON.stringify(body));
  return body;
}

for (const javaScriptEnabled of [false, true]) {
  test(`a hosted callback hands the answer on to another origin, scripts ${javaScriptEnabled ? 'on' : 'off'}`, async (t) => {
    const page = await open(t, { javaScriptEnabled });
    const program = await listen(t);
    const redirect = await hostedCallback(t, program.redirect);
    const client = await registerForPeople({ client_name: 'Hosted app', redirect_uris: [redirect], token_endpoint_auth_method: 'client_secret_basic' });
    const first = authorizationRequest({ client, redirect });
    const answer = program.next();
    await page.goto(first.url);
    await logIn(page);
    await button(page, 'Allow').click(); // the form of the consent page leads there
    await heading(page, 'Back at the client').waitFor();
    const { access_token } = await redeem(first, await answer);
    assert.ok((await introspect(access_token)).active);

    await page.goto(`${pages}/logout`);
    await button(page, 'Log out').click();
    await heading(page, 'You are logged out').waitFor();
    const second = authorizationRequest({ client, redirect });
    const again = program.next();
    await page.goto(second.url);
    await logIn(page); // consent is remembered: the form of the login page leads there
    await heading(page, 'Back at the client').waitFor();
    await redeem(second, await again);
  });
}

test('a denial goes through a hosted callback', async (t) => {
  const page = await open(t, { javaScriptEnabled: false });
  const program = await listen(t);
  const redirect = await hostedCallback(t, program.redirect);
  const client = await registerForPeople({ client_name: 'Hosted app', redirect_uris: [redirect] });
  const answer = program.next();
  await page.goto(authorizationRequest({ client, redirect }).url);
  await logIn(page);
  await button(page, 'Do not allow').click();
  assert.equal((await answer).searchParams.get('error'), 'access_denied');
});

test('the answer arrives at an application', async (t) => {
  const hosted = await hostedCallback(t, 'vscode://example.app/callback');
  const { page, opened, close } = await openDesktop({
    [issuer]: ['vscode', 'cursor', 'com.example.app'],
    [new URL(hosted).origin]: ['vscode'],
  });
  t.after(close);
  for (const [what, redirect, arrives] of [
    ['that a hosted callback hands it on to', hosted, 'vscode://example.app/callback'],
    ['with a scheme of its own', 'cursor://anysphere.cursor-mcp/oauth/callback'],
    ['whose URI has no slashes', 'com.example.app:callback'],
  ]) {
    await t.test(what, async () => {
      await page.context().clearCookies();
      const client = await registerForPeople({ client_name: 'Application', redirect_uris: [redirect] });
      const request = authorizationRequest({ client, redirect });
      await page.goto(request.url);
      await logIn(page);
      await button(page, 'Allow').click();
      const answer = new URL(await opened());
      assert.equal(answer.href.split('?')[0], arrives ?? redirect);
      await redeem(request, answer);
    });
  }
});

test('a page of another origin finds the server, gets a token, uses and revokes it, with headers of its own', async (t) => {
  const page = await open(t);
  const origin = await host(t, (_, response) => response.setHeader('Content-Type', 'text/html').end('<!doctype html><title>Client</title>'));
  await page.goto(origin);
  const { client_id: id, client_secret: secret } = await register({ client_name: 'Browser client' });
  const own = { 'X-Tenant': 'blue', 'Mcp-Session-Id': 'session-1', 'Mcp-Protocol-Version': '2025-11-25' };
  const call = (url, method, headers, body) =>
    page.evaluate(
      async ([url, init]) => {
        const response = await fetch(url, init);
        const body = response.headers.get('Content-Type') === 'application/json' ? await response.json() : undefined;
        return { status: response.status, challenge: response.headers.get('WWW-Authenticate'), body };
      },
      [url, { method, headers: { ...own, ...headers }, body }],
    );

  const { origin: server, pathname } = new URL(mcpURL);
  const resource = await call(`${server}/.well-known/oauth-protected-resource${pathname}`, 'GET');
  assert.deepEqual(resource.body.authorization_servers, [issuer]);
  for (const path of ['/.well-known/oauth-authorization-server', '/.well-known/openid-configuration']) {
    const { status, body } = await call(issuer + path, 'GET');
    assert.deepEqual([status, body.issuer], [200, issuer]);
  }
  assert.equal((await call(`${issuer}/.well-known/oauth-authorization-server/nothing`, 'GET')).status, 404);
  assert.equal((await call(`${pages}/jwks.json`, 'GET')).status, 200);

  const asClient = { Authorization: `Basic ${btoa(`${id}:${secret}`)}`, 'Content-Type': 'application/x-www-form-urlencoded' };
  const wrong = await call(`${pages}/token`, 'POST', { ...asClient, Authorization: `Basic ${btoa(`${id}:wrong`)}` }, 'grant_type=client_credentials');
  assert.equal(wrong.status, 401);
  assert.match(wrong.challenge, /^Basic /);
  const { access_token: token } = (await call(`${pages}/token`, 'POST', asClient, 'grant_type=client_credentials')).body;
  const list = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list' });
  const asBearer = { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json', Accept: 'application/json, text/event-stream' };
  assert.equal((await call(mcpURL, 'POST', asBearer, list)).status, 200);
  assert.equal((await call(`${pages}/revoke`, 'POST', asClient, `token=${token}`)).status, 200);
  const refused = await call(mcpURL, 'POST', asBearer, list);
  assert.equal(refused.status, 401);
  assert.match(refused.challenge, /^Bearer /);
});
