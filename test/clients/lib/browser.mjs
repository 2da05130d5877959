// Debian's Chromium, driven by Playwright.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
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

/** Starts a browser for the tests of a file. */
export const launch = () => chromium.launch(options);

export const button = (page, name) => page.getByRole('button', { name, exact: true });

/** Fills in the login page. */
export async function logIn(page, { username, password } = account) {
  await page.getByLabel('User name').fill(username);
  await page.getByLabel('Password').fill(password);
  await button(page, 'Log in').click();
}

export const heading = (page, name) => page.getByRole('heading', { level: 1, name });

/**
 * A browser window on a desktop that hands URIs of a scheme to an application, when they come from one of the origins:
 * there is no person who would answer Chromium's question. opened() is the next URI that the application gets.
 */
export async function openDesktop(t, scheme, origins) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'desktop-'));
  const handed = path.join(folder, 'handed');
  fs.mkdirSync(path.join(folder, 'Default'));
  const pairs = Object.fromEntries(origins.map((origin) => [origin, { [scheme]: true }]));
  fs.writeFileSync(path.join(folder, 'Default', 'Preferences'), JSON.stringify({ protocol_handler: { allowed_origin_protocol_pairs: pairs } }));
  fs.writeFileSync(path.join(folder, 'xdg-open'), `#!/bin/sh\nprintf %s "$1" > '${handed}.part' && mv '${handed}.part' '${handed}'\n`, { mode: 0o755 });
  const context = await chromium.launchPersistentContext(folder, {
    ...options,
    javaScriptEnabled: false,
    env: { ...process.env, PATH: `${folder}:${process.env.PATH}` },
  });
  t.after(async () => {
    await context.close();
    fs.rmSync(folder, { recursive: true, force: true });
  });
  const opened = async () => {
    for (let tries = 0; tries < 600 && !fs.existsSync(handed); tries++) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    return fs.readFileSync(handed, 'utf8');
  };
  return { page: context.pages()[0] ?? (await context.newPage()), opened };
}
