// Debian's Chromium, driven by Playwright.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { chromium } from 'playwright-core';
import { account } from './server.mjs';

// It talks to loopback alone.
const options = {
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  chromiumSandbox: false,
  args: [
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
  ],
};

/** Starts a browser for one test. */
export const launch = () => chromium.launch(options);

/**
 * Starts a browser for the tests of a file, which run one after the other, and returns a function that opens a window
 * with nobody logged in. What its pages violate fails the test. The next test that asks for the same kind of window gets
 * it without its cookies, unless it was closed: to make a new one takes the machine a second.
 */
export function browserForTests() {
  const idle = new Map();
  let browser;
  before(async () => (browser = await launch()));
  after(() => browser.close());
  return async function open(t, kind) {
    const key = JSON.stringify(kind);
    const page = idle.get(key) ?? (await (await browser.newContext(kind)).newPage());
    idle.delete(key);
    const violations = [];
    const note = (message) => message.type() === 'error' && /policy|csp/i.test(message.text()) && violations.push(message.text());
    page.on('console', note);
    t.after(async () => {
      if (!page.isClosed()) {
        await page.goto('about:blank');
        await page.context().clearCookies();
        page.off('console', note);
        idle.set(key, page);
      }
      assert.deepEqual(violations, []);
    });
    return page;
  };
}

export const button = (page, name) => page.getByRole('button', { name, exact: true });

/** Fills in the login page. */
export async function logIn(page, { username, password } = account) {
  await page.getByLabel('User name').fill(username);
  await page.getByLabel('Password').fill(password);
  await button(page, 'Log in').click();
}

export const heading = (page, name) => page.getByRole('heading', { level: 1, name });

/**
 * A browser window on a desktop that hands URIs to applications, when an origin may open their scheme: there is no person
 * who would answer Chromium's question. schemes names them by origin. opened() is the next URI that an application gets.
 */
export async function openDesktop(schemes) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'desktop-'));
  const handed = path.join(folder, 'handed');
  fs.mkdirSync(path.join(folder, 'Default'));
  const allowed = (names) => Object.fromEntries(names.map((name) => [name, true]));
  const pairs = Object.fromEntries(Object.entries(schemes).map(([origin, names]) => [origin, allowed(names)]));
  fs.writeFileSync(path.join(folder, 'Default', 'Preferences'), JSON.stringify({ protocol_handler: { allowed_origin_protocol_pairs: pairs } }));
  fs.writeFileSync(path.join(folder, 'xdg-open'), `#!/bin/sh\nprintf %s "$1" > '${handed}.part' && mv '${handed}.part' '${handed}'\n`, { mode: 0o755 });
  const context = await chromium.launchPersistentContext(folder, {
    ...options,
    javaScriptEnabled: false,
    env: { ...process.env, PATH: `${folder}:${process.env.PATH}` },
  });
  const close = async () => {
    await context.close();
    fs.rmSync(folder, { recursive: true, force: true });
  };
  const opened = async () => {
    for (let tries = 0; tries < 600 && !fs.existsSync(handed); tries++) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    const uri = fs.readFileSync(handed, 'utf8');
    fs.rmSync(handed);
    return uri;
  };
  return { page: context.pages()[0] ?? (await context.newPage()), opened, close };
}
