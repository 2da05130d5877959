// How each page looks, in the light and in the dark, on a phone and on a desktop: nothing wider than the screen, and
// nothing that axe-core knows to keep people out (WCAG 2.2 AA). With SCREENSHOTS set to a folder it keeps pictures.
import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import axe from 'axe-core';
import { pages, registerForPeople } from './lib/server.mjs';
import { browserForTests, button, heading, logIn } from './lib/browser.mjs';
import { listen } from './lib/loopback.mjs';
import { authorizationRequest } from './lib/pkce.mjs';

const schemes = ['light', 'dark'];
const screens = { phone: { width: 360, height: 740 }, desktop: { width: 1280, height: 800 } };
const standards = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'];

const openWindow = browserForTests();
const open = (t) => openWindow(t, { bypassCSP: true }); // lets axe-core in, which no page would

async function inspect(page, name) {
  const problems = [];
  for (const [screen, size] of Object.entries(screens)) {
    await page.setViewportSize(size);
    for (const colorScheme of schemes) {
      await page.emulateMedia({ colorScheme });
      const where = `${name}, ${screen}, ${colorScheme}`;
      if (process.env.SCREENSHOTS) {
        await page.screenshot({ path: path.join(process.env.SCREENSHOTS, `${name}-${screen}-${colorScheme}.png`), fullPage: true });
      }
      const [inner, outer] = await page.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth]);
      if (inner > outer) {
        problems.push(`${where}: the page is ${inner} pixels wide on a screen of ${outer}`);
      }
      if (screen === 'desktop') {
        continue; // the same elements in the same colours, with more room
      }
      await page.evaluate(axe.source);
      const { violations, passes } = await page.evaluate((values) => window.axe.run({ runOnly: { type: 'tag', values } }), standards);
      assert.ok(passes.length > 5, `${where}: axe-core has looked at hardly anything`);
      for (const { id, nodes } of violations) {
        problems.push(...nodes.map((node) => `${where}: ${id}: ${node.html} ${node.failureSummary}`));
      }
    }
  }
  assert.deepEqual(problems, []);
}

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
