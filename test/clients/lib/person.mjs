// A person without a browser: follows redirects, keeps cookies, fills in the forms.
import assert from 'node:assert/strict';
import { account } from './server.mjs';

const entities = { amp: '&', lt: '<', gt: '>', quot: '"' };

function decode(text) {
  return text.replace(/&(?:#(\d+)|(\w+));/g, (all, code, name) => (code ? String.fromCodePoint(code) : (entities[name] ?? all)));
}

function attributes(tag) {
  return Object.fromEntries([...tag.matchAll(/([\w-]+)="([^"]*)"/g)].map(([, name, value]) => [name, decode(value)]));
}

/** The first form of a page: where it goes and what is in it. */
function form(page) {
  const [, tag, inside] = page.match(/<form([^>]*)>([\s\S]*?)<\/form>/) ?? assert.fail(`no form in ${page}`);
  const fields = new URLSearchParams();
  for (const [input] of inside.matchAll(/<input[^>]*>/g)) {
    const { name, value = '' } = attributes(input);
    fields.set(name, value);
  }
  return { action: attributes(tag).action, fields };
}

export class Person {
  #cookies = new Map();

  /** What they were shown. */
  pages = [];

  async #fetch(url, options) {
    const cookie = [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const response = await fetch(url, { ...options, headers: { cookie }, redirect: 'manual' });
    for (const line of response.headers.getSetCookie()) {
      const [, name, value] = line.match(/^([^=]+)=([^;]*)/);
      this.#cookies.set(name, value);
    }
    return response;
  }

  /** Goes from an authorization URL to the client's redirect URI, allowing what is asked, and returns where it ended. */
  async authorize(authorizationURL, redirect) {
    let url = new URL(authorizationURL);
    let options;
    for (let step = 0; step < 12; step++) {
      const response = await this.#fetch(url, options);
      const location = response.headers.get('location');
      options = undefined;
      if (location) {
        await response.arrayBuffer();
        url = new URL(location, url);
        if (url.href.startsWith(`${redirect}?`)) {
          return url;
        }
        continue;
      }
      const page = await response.text();
      this.pages.push(page);
      assert.equal(response.status, 200, `${url.pathname}: ${page}`);
      const { action, fields } = form(page);
      if (fields.has('password')) {
        fields.set('username', account.username);
        fields.set('password', account.password);
      } else {
        fields.set('answer', 'allow');
      }
      url = new URL(action, url);
      options = { method: 'POST', body: fields };
    }
    return assert.fail(`still at ${url}`);
  }
}
