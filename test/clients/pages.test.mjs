// How each page for login and consent looks.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pages, registerForPeople } from './lib/server.mjs';
import { browserForTests, button, heading, logIn } from './lib/browser.mjs';
import { inspect } from './lib/inspect.mjs';
import { listen } from './lib/loopback.mjs';
import { authorizationRequest } from './lib/pkce.mjs';

const openWindow = browserForTests();
const open = (t) => openWindow(t, { bypassCSP: true }); // lets axe-core in, which no page would

const client = (name) => registerForPeople({ client_name: name, redirect_uris: ['http://127.0.0.1/callback', 'com.example.app:/callback'] });

async function request(more) {
  return authorizationRequest({ client: await client('Desktop app'), redirect: 'http://127.0.0.1:4000/callback', ...more }).url;
}

test('login', async (t) => {
  const page = await open(t);
  await page.goto(await request());
  await inspect(page, 'login');
  await logIn(page, { username: 'somebody', password: 'not the password 1' });
  await page.getByRole('alert').waitFor();
  await inspect(page, 'login-wrong');
});

test('consent', async (t) => {
  const page = await open(t);
  await page.goto(await request());
  await logIn(page);
  await heading(page, 'Allow Desktop app?').waitFor();
  await inspect(page, 'consent');

  const name = 'An application with a name that goesonandonwithoutaspacewhereitcouldbebroken';
  await page.goto(authorizationRequest({ client: await client(name), redirect: 'com.example.app:/callback' }).url);
  await heading(page, `Allow ${name}?`).waitFor();
  await inspect(page, 'consent-long');

  const web = await registerForPeople({ client_name: 'Web app', redirect_uris: ['https://app.example.com/callback'] });
  await page.goto(authorizationRequest({ client: web, redirect: 'https://app.example.com/callback' }).url);
  await heading(page, 'Allow Web app?').waitFor();
  await inspect(page, 'consent-web');
});

test('connected applications, withdrawal and logout', async (t) => {
  const page = await open(t);
  const program = await listen(t);
  const app = await registerForPeople({ client_name: 'Notebook', redirect_uris: [program.redirect] });
  const allow = authorizationRequest({ client: app, redirect: program.redirect });
  await page.goto(allow.url);
  await logIn(page);
  const answer = program.next();
  await button(page, 'Allow').click();
  assert.equal((await allow.redeem((await answer).searchParams.get('code'))).status, 200);

  await page.goto(`${pages}/grants`);
  await heading(page, 'Connected applications').waitFor();
  await inspect(page, 'grants');
  await page.goto(`${pages}/grants/withdraw?client_id=${app.client_id}`);
  await heading(page, 'Withdraw the access of Notebook?').waitFor();
  await inspect(page, 'withdraw');
  await button(page, 'Withdraw access').click();
  await page.getByRole('status').waitFor();
  await inspect(page, 'grants-withdrawn');
  await page.goto(`${pages}/logout`);
  await heading(page, 'Log out?').waitFor();
  await inspect(page, 'logout');
  await button(page, 'Log out').click();
  await heading(page, 'You are logged out').waitFor();
  await inspect(page, 'logged-out');
});

test('errors', async (t) => {
  const page = await open(t);
  await page.goto(await request({ redirect_uri: 'https://attacker.example/callback' }));
  await page.getByRole('alert').waitFor();
  await inspect(page, 'error-authorize');
  await page.goto(`${pages}/consent`);
  await page.getByRole('alert').waitFor();
  await inspect(page, 'error-page');
});
