// The admin console in Chromium: what an administrator does with it, without scripts, and how its pages look.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { adminKey, adminURL, asAdmin, post } from './lib/server.mjs';
import { browserForTests, button, heading } from './lib/browser.mjs';
import { inspect } from './lib/inspect.mjs';

const openWindow = browserForTests();
const console_ = `${adminURL}/console`;
const link = (page, name) => page.getByRole('link', { name, exact: true });

async function enter(page, path = '/', key = adminKey) {
  await page.goto(console_ + path);
  await page.getByLabel('Admin key').fill(key);
  await button(page, 'Log in').click();
}

/** Gets a token with a secret; undefined: there is none. */
async function token(id, secret) {
  const { body } = await post('token', { grant_type: 'client_credentials' }, `Basic ${btoa(`${id}:${secret}`)}`);
  return body.access_token;
}

const shown = (page, term) => page.locator('dl div', { has: page.getByText(term, { exact: true }) }).locator('dd').textContent();

test('an administrator registers a client, replaces its secret, and ends it', async (t) => {
  const page = await openWindow(t, { javaScriptEnabled: false });
  await enter(page, '/clients', 'mcp_ak_not-the-key-of-anybody');
  await page.getByRole('alert').getByText('The admin key is unknown').waitFor();
  await enter(page, '/clients');
  await heading(page, 'Clients').waitFor();

  await link(page, 'New client').click();
  await page.getByLabel('Name').fill('Night indexer');
  await page.getByLabel('Owner').fill('Search team');
  await page.getByText('More settings').click();
  await page.getByLabel('Redirect URIs').fill('http://example.com/callback');
  await button(page, 'Register the client').click();
  await page.getByRole('alert').filter({ hasText: 'Redirect URIs:' }).waitFor();
  assert.equal(await page.getByLabel('Owner').inputValue(), 'Search team');
  await page.getByLabel('Redirect URIs').fill('');
  await button(page, 'Register the client').click();
  await page.getByText('it is shown this once').waitFor();
  const id = await shown(page, 'Client id');
  const first = await shown(page, 'Client secret');
  assert.ok(await token(id, first), 'the secret gets a token');

  await link(page, 'To the client').click();
  await link(page, 'New secret').click();
  await page.getByLabel('have leaked').check();
  await button(page, 'Make a new secret').click();
  await heading(page, 'New secret').waitFor();
  assert.equal(await token(id, first), undefined, 'the leaked secret');
  assert.ok(await token(id, await shown(page, 'Client secret')), 'the new secret');

  await link(page, 'To the client').click();
  await page.getByRole('link', { name: 'Revoke the token' }).first().click();
  await button(page, 'Revoke the token').click();
  await page.getByRole('status').getByText('The token is revoked.').waitFor();
  for (const [act, confirmation, said] of [
    ['Disable', 'Disable the client', 'The client is disabled.'],
    ['Enable', 'Enable the client', 'The client is enabled.'],
    ['Delete', 'Delete the client for good', 'The client is deleted.'],
  ]) {
    await link(page, act).click();
    await link(page, 'Cancel').waitFor();
    await button(page, confirmation).click();
    await page.getByRole('status').getByText(said).waitFor();
  }

  await page.goto(`${console_}/audit?client_id=${id}`);
  const deleted = page.getByRole('row', { name: /client\.deleted/ });
  await deleted.locator('summary').click();
  await deleted.getByText('Night indexer').waitFor();
  await button(page, 'Log out').click();
  await page.getByText('You are logged out.').waitFor();
  await page.goto(`${console_}/clients`);
  await heading(page, 'Log in').waitFor();
});

test('an administrator ends what somebody has', async (t) => {
  const page = await openWindow(t, { javaScriptEnabled: false });
  const username = 'grace@example.com';
  await asAdmin('POST', '/users', { username, password: 'a password for grace hopper', groups: ['staff'] });
  await enter(page, '/people?q=grace');
  await link(page, username).click();
  await link(page, 'End everything').click();
  await heading(page, `End everything of ${username}?`).waitFor();
  await button(page, 'End everything').click();
  await page.getByRole('status').getByText('Everything of this person has ended.').waitFor();
  await link(page, 'Let in again').waitFor();
});

// A form of another site carries no cookie, and is refused where it carries one.
test('another site cannot use the console', async (t) => {
  const page = await openWindow(t, {});
  await enter(page);
  await heading(page, 'Overview').waitFor();
  const { client_id: id } = await asAdmin('POST', '/clients', { client_name: 'Target' });
  await page.goto(`${adminURL.replace('127.0.0.1', 'localhost')}/livez`);
  await page.setContent(`<form method="post" action="${console_}/clients/${id}/delete"><button>Win</button></form>`);
  await button(page, 'Win').click();
  await heading(page, 'That was not accepted').waitFor();
  assert.equal((await asAdmin('GET', `/clients/${id}`)).status, 'active');
});

test('how the pages look', async (t) => {
  const page = await openWindow(t, { bypassCSP: true }); // lets axe-core in, which no page would
  const soon = new Date(Date.now() + 5 * 24 * 3600 * 1000).toISOString();
  const name = 'A-machine-with-a-name-that-goesonandonwithoutaspacewhereitcouldbebroken';
  const { client_id: id, client_secret: secret } = await asAdmin('POST', '/clients', {
    client_name: name,
    owner: 'Documentation',
    expires_at: soon,
    secret_expires_at: soon,
  });
  const person = await asAdmin('POST', '/users', { username: 'lin', password: 'a password for lin the person', groups: ['staff', 'docs'] });
  await token(id, secret);
  await page.goto(`${console_}/login`);
  await inspect(page, 'console-login', ['light']);
  await enter(page, '/', 'mcp_ak_not-the-key-of-anybody');
  await inspect(page, 'console-login-wrong');
  await enter(page);
  for (const [path, title, schemes] of [
    ['/', 'overview'],
    [`/clients/${id}`, 'client'],
    [`/clients/${id}/delete`, 'delete'],
    [`/clients/${id}/edit`, 'edit', ['dark']],
    [`/clients/${id}/rotate`, 'rotate', ['light']],
    [`/people/${person.id}`, 'person', ['dark']],
    [`/clients/${id}/usage`, 'usage', ['dark']],
    ['/access', 'access', ['light']],
    ['/clients', 'clients', ['light']],
    ['/people', 'people', ['light']],
    ['/consents', 'consents', ['light']],
    ['/keys', 'keys', ['light']],
    ['/nothing', 'nothing', ['light']],
  ]) {
    await page.goto(console_ + path);
    await inspect(page, `console-${title}`, schemes);
  }
  await page.goto(`${console_}/audit?client_id=${id}`);
  await page.locator('summary').first().click();
  await inspect(page, 'console-audit');
  await page.goto(`${console_}/new-client`);
  await page.getByLabel('Name').fill('Website');
  await page.locator('summary').click();
  await page.getByLabel('Redirect URIs').fill('http://example.com/callback');
  await button(page, 'Register the client').click();
  await inspect(page, 'console-mistake');
  await page.getByLabel('Redirect URIs').fill('');
  await button(page, 'Register the client').click();
  await inspect(page, 'console-secret', ['dark']);
});
