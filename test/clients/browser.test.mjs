// What a person sees and does, in Chromium. Scripts are off but in one test: no page needs them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { account, introspect, issuer, pages, registerForPeople } from './lib/server.mjs';
import { browserForTests, button, heading, logIn } from './lib/browser.mjs';
import { listen } from './lib/loopback.mjs';
import { authorizationRequest } from './lib/pkce.mjs';

const openWindow = browserForTests();
const open = (t, kind) => openWindow(t, { javaScriptEnabled: false, ...kind });

/** A client with a program that waits for the answer. */
async function connect(t, { name = 'Desktop app', where, ...metadata } = {}) {
  const program = await listen(t, where);
  const client = await registerForPeople({ client_name: name, redirect_uris: [program.redirect], ...metadata });
  return { ...program, client, request: (more) => authorizationRequest({ client, redirect: program.redirect, ...more }) };
}

/** Goes through login and consent, and returns the tokens. */
async function obtain(page, app) {
  const request = app.request();
  const answer = app.next();
  await page.goto(request.url);
  if (await page.getByLabel('Password').isVisible()) {
    await logIn(page);
  }
  if (await button(page, 'Allow').isVisible()) {
    await button(page, 'Allow').click();
  }
  return tokens(request, await answer);
}

async function tokens(request, answer) {
  const parameters = Object.fromEntries(answer.searchParams);
  const { code, state, iss, ...rest } = parameters;
  assert.deepEqual({ state, iss, rest }, { state: request.state, iss: issuer, rest: {} });
  const { status, body } = await request.redeem(code);
  assert.equal(status, 200, JSON.stringify(body));
  return body;
}

const isActive = async (token) => (await introspect(token)).active;

for (const javaScriptEnabled of [false, true]) {
  test(`login and consent end at the client, scripts ${javaScriptEnabled ? 'on' : 'off'}`, async (t) => {
    const page = await open(t, { javaScriptEnabled });
    const app = await connect(t);
    const request = app.request();
    const answer = app.next();
    await page.goto(request.url);
    await heading(page, 'Log in').waitFor();
    await logIn(page);
    await heading(page, 'Allow Desktop app?').waitFor();
    for (const text of ['Search the documentation and read its pages', 'Documentation', new URL(app.redirect).host, account.username]) {
      assert.ok(await page.getByText(text).first().isVisible(), text);
    }
    await page.getByText('This is a program on your own device').waitFor();
    await button(page, 'Allow').click();
    await heading(page, 'Back at the client').waitFor();
    const { access_token } = await tokens(request, await answer);
    const { active, username, client_id } = await introspect(access_token);
    assert.deepEqual({ active, username, client_id }, { active: true, username: 'ada', client_id: app.client.client_id });
  });
}

// Chromium holds every redirect that follows a form against the form-action of its page.
for (const where of [
  { host: '127.0.0.1', name: 'localhost' },
  { host: '::1', name: '[::1]' },
]) {
  test(`the answer arrives at ${where.name}`, async (t) => {
    const { access_token } = await obtain(await open(t), await connect(t, { where }));
    assert.ok(await isActive(access_token));
  });
}

test('the answer is handed to an application with a scheme of its own', async (t) => {
  const page = await open(t);
  const redirect = 'com.example.app://oauth/callback';
  const client = await registerForPeople({ client_name: 'Phone app', redirect_uris: [redirect] });
  const request = authorizationRequest({ client, redirect });
  await page.goto(request.url);
  await logIn(page);
  const handed = page.waitForResponse((response) => response.headers().location?.startsWith(redirect));
  await button(page, 'Allow').click();
  await tokens(request, new URL((await handed).headers().location));
  await page.context().close(); // the window asks whether to open the application, and waits
});

test('who is logged in is not asked to log in again, and a confidential client asks for consent once', async (t) => {
  const page = await open(t);
  const desktop = await connect(t);
  const web = await connect(t, { name: 'Web app', token_endpoint_auth_method: 'client_secret_basic' });
  await obtain(page, web);

  await page.goto(desktop.request().url);
  await heading(page, 'Allow Desktop app?').waitFor(); // any program on the device could take its name: asked every time

  const again = web.request();
  const answer = web.next();
  await page.goto(again.url);
  await heading(page, 'Back at the client').waitFor();
  await tokens(again, await answer);
});

test('a denial is told to the client', async (t) => {
  const page = await open(t);
  const app = await connect(t);
  const request = app.request();
  const answer = app.next();
  await page.goto(request.url);
  await logIn(page);
  await button(page, 'Do not allow').click();
  await heading(page, 'Back at the client').waitFor();
  const { error, state, iss, code } = Object.fromEntries((await answer).searchParams);
  assert.deepEqual({ error, state, iss, code }, { error: 'access_denied', state: request.state, iss: issuer, code: undefined });

  await page.goto(`${pages}/grants`);
  await heading(page, 'Connected applications').waitFor();
  assert.equal(await page.getByText(app.client.client_id).count(), 0);
});

test('a wrong password is told without a word about the account', async (t) => {
  const page = await open(t);
  const app = await connect(t);
  await page.goto(app.request().url);
  const said = [];
  for (const username of ['ada', 'nobody-of-that-name']) {
    const answered = page.waitForResponse((response) => response.request().method() === 'POST');
    await logIn(page, { username, password: 'not the password 1' });
    assert.equal((await answered).status(), 403);
    said.push(await page.getByRole('alert').textContent());
    assert.equal(await page.getByLabel('Password').inputValue(), '');
    assert.equal(await page.getByLabel('User name').inputValue(), username);
    const seen = `${page.url()} ${await page.content()}`;
    assert.ok(!seen.includes('not the password'), 'the password is in the page or its URL');
  }
  assert.deepEqual(said, ['User name or password is wrong.', 'User name or password is wrong.']);
  assert.deepEqual(app.answers, []);

  await logIn(page); // the request has survived the failures
  await heading(page, 'Allow Desktop app?').waitFor();
});

/** Logs the session out behind the back of its window, as if it had expired. */
async function expire(t, page) {
  const elsewhere = await open(t, { storageState: await page.context().storageState() });
  await elsewhere.goto(`${pages}/logout`);
  await button(elsewhere, 'Log out').click();
  await heading(elsewhere, 'You are logged out').waitFor();
}

test('a session that ends while the consent page is open allows nothing, and the request goes on after a login', async (t) => {
  const page = await open(t);
  const app = await connect(t);
  const request = app.request();
  const answer = app.next();
  await page.goto(request.url);
  await logIn(page);
  await heading(page, 'Allow Desktop app?').waitFor();
  await expire(t, page);
  await button(page, 'Allow').click();
  await heading(page, 'Log in').waitFor();
  assert.deepEqual(app.answers, []);
  await logIn(page);
  await heading(page, 'Allow Desktop app?').waitFor();
  await button(page, 'Allow').click();
  await tokens(request, await answer);
});

test('a browser that has lost its cookies gets a page that helps', async (t) => {
  const page = await open(t);
  const app = await connect(t);
  await page.goto(app.request().url);
  await page.context().clearCookies();
  await logIn(page);
  assert.match(await page.getByRole('alert').textContent(), /out of date/);
  await logIn(page);
  await heading(page, 'Allow Desktop app?').waitFor();
  await page.context().clearCookies();
  const answered = page.waitForResponse((response) => response.request().method() === 'POST');
  await button(page, 'Allow').click();
  assert.equal((await answered).status(), 403);
  await page.getByRole('alert').waitFor();
  assert.deepEqual(app.answers, []);
});

test('impatient clicks change nothing', async (t) => {
  const page = await open(t);
  const app = await connect(t);
  const request = app.request();
  const answer = app.next();
  await page.goto(request.url);
  await page.getByLabel('User name').fill(account.username);
  await page.getByLabel('Password').fill(account.password);
  await button(page, 'Log in').dblclick();
  await heading(page, 'Allow Desktop app?').waitFor();
  await button(page, 'Allow').dblclick();
  await heading(page, 'Back at the client').waitFor();
  await answer;
  const { access_token } = await tokens(request, app.answers.at(-1));
  assert.ok(await isActive(access_token));
});

// The second click of a slow double click: the browser has the answer to the first one, and still shows the page.
for (const [label, reach] of [
  ['Log in', async () => {}],
  ['Allow', (page) => logIn(page)],
  ['Do not allow', (page) => logIn(page)],
  [
    'Log out',
    async (page) => {
      await logIn(page);
      await page.goto(`${pages}/grants`);
    },
  ],
]) {
  test(`"${label}" sent twice is as good as once`, async (t) => {
    const page = await open(t, { javaScriptEnabled: true });
    const app = await connect(t);
    await page.goto(app.request().url);
    await reach(page);
    await button(page, label).waitFor();
    if (label === 'Log in') {
      await page.getByLabel('User name').fill(account.username);
      await page.getByLabel('Password').fill(account.password);
    }
    const { action, form } = await button(page, label).evaluate((pressed) => ({
      action: pressed.form.action,
      form: Object.fromEntries(new FormData(pressed.form, pressed)),
    }));
    const answers = [];
    for (let i = 0; i < 2; i++) {
      const response = await page.context().request.post(action, { form, maxRedirects: 0 });
      answers.push([response.status(), response.headers().location]);
    }
    assert.equal(answers[0][0], 303);
    assert.deepEqual(answers[1], answers[0]);
  });
}

test('a consent page that is sent again from the history asks anew or answers anew, and breaks nothing', async (t) => {
  const page = await open(t);
  const app = await connect(t);
  const request = app.request();
  const first = app.next();
  await page.goto(request.url);
  await logIn(page);
  await button(page, 'Allow').click();
  const { access_token } = await tokens(request, await first);
  await page.waitForURL((url) => url.searchParams.has('code')); // the client has the answer before its page is there
  await page.goBack();
  await heading(page, 'Allow Desktop app?').waitFor();
  const second = app.next();
  await button(page, 'Allow').click();
  const code = (await second).searchParams.get('code');
  assert.notEqual(code, app.answers[0].searchParams.get('code'));
  assert.equal((await request.redeem(code)).status, 200);
  assert.ok(await isActive(access_token));
});

test('an error that may not go to the client is shown on a page', async (t) => {
  const page = await open(t);
  const app = await connect(t);
  for (const [change, text] of [
    [{ redirect_uri: 'https://attacker.example/' }, /redirect/i],
    [{ client_id: 'client_unknown' }, /client/i],
  ]) {
    const url = new URL(app.request(change).url);
    const response = await page.goto(url.href);
    assert.ok(response.status() >= 400 && response.status() < 500);
    assert.equal(new URL(page.url()).origin, issuer);
    assert.match(await page.getByRole('main').textContent(), text);
  }
  assert.deepEqual(app.answers, []);
});

test('what a person withdraws is dead at the next introspection', async (t) => {
  const page = await open(t);
  const [kept, withdrawn] = [await connect(t, { name: 'Kept app' }), await connect(t, { name: 'Withdrawn app' })];
  const [alive, dead] = [await obtain(page, kept), await obtain(page, withdrawn)];
  await page.goto(`${pages}/grants`);
  await page.locator('section', { hasText: withdrawn.client.client_id }).getByRole('link', { name: /Withdraw access/ }).click();
  await heading(page, 'Withdraw the access of Withdrawn app?').waitFor();
  assert.ok(await isActive(dead.access_token), 'a look at the page withdraws nothing');
  await button(page, 'Withdraw access').dblclick();
  await page.getByRole('status').filter({ hasText: 'Withdrawn app has no access any more.' }).waitFor();
  assert.equal(await page.getByText(withdrawn.client.client_id).count(), 0);
  assert.deepEqual(await introspect(dead.access_token), { active: false });
  assert.ok(await isActive(alive.access_token));

  await page.goto(withdrawn.request().url);
  await heading(page, 'Allow Withdrawn app?').waitFor();
});

test('after the logout somebody else has to log in', async (t) => {
  const page = await open(t);
  const app = await connect(t);
  const { access_token } = await obtain(page, app);
  await page.goto(`${pages}/grants`);
  const before = await page.context().cookies();
  await button(page, 'Log out').click();
  await heading(page, 'You are logged out').waitFor();
  await page.goto(`${pages}/grants`);
  await heading(page, 'Log in').waitFor();
  await page.context().addCookies(before); // the cookie of the session that has ended is worth nothing
  await page.goto(`${pages}/grants`);
  await heading(page, 'Log in').waitFor();
  assert.ok(await isActive(access_token), 'applications keep their access');
});

test('"Not you?" leads through another login back to the request', async (t) => {
  const page = await open(t);
  const app = await connect(t);
  const request = app.request();
  const answer = app.next();
  await page.goto(request.url);
  await logIn(page);
  await button(page, 'Not you?').click();
  await heading(page, 'Log in').waitFor();
  await logIn(page);
  await button(page, 'Allow').click();
  await tokens(request, await answer);
});
