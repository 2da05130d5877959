// Debian's Chromium, driven by Playwright.
import { chromium } from 'playwright-core';
import { account } from './server.mjs';

/** Starts a browser for the tests of a file. It talks to loopback alone. */
export function launch() {
  return chromium.launch({
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
  });
}

export const button = (page, name) => page.getByRole('button', { name, exact: true });

/** Fills in the login page. */
export async function logIn(page, { username, password } = account) {
  await page.getByLabel('User name').fill(username);
  await page.getByLabel('Password').fill(password);
  await button(page, 'Log in').click();
}

export const heading = (page, name) => page.getByRole('heading', { level: 1, name });
