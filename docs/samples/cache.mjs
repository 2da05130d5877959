// Keeps positive answers about tokens for protect.mjs, and drops them by the feed of revocations: a revoked token is refused within the
// bound, whatever is down. Without the feed each token is asked about. ask(token) returns an answer; feed(after, wait) a page.
import { createHash } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';

const MAX_AGE = 300_000, ENTRIES = 10_000; // milliseconds, and answers

// elapsed goes by the clock that went further: one may stand still while a machine sleeps, and the other one may be set back.
const moment = () => ({ steady: performance.now(), wall: Date.now() });
const elapsed = (from) => Math.max(performance.now() - from.steady, Date.now() - from.wall);

export function keeping(ask, feed, bound) {
  const kept = new Map(); // by the hash of the token, the oldest first
  let heard = 0; // how often something was dropped
  let complete; // when the last request of the feed was sent that was answered in full

  function drop(which) {
    heard++;
    for (const [key, { answer }] of kept) if (which(answer)) kept.delete(key);
  }

  function hear(page) {
    const ended = { token: new Set(), client: new Set() };
    const all = page.revocations.some(({ kind, id }) => !ended[kind]?.add(id)); // or a kind that is not known here
    if (page.revocations.length > 0) drop(({ jti, client_id }) => all || ended.token.has(jti) || ended.client.has(client_id));
  }

  async function follow() {
    for (let cursor = 'now', failing = false; ;) {
      const sent = moment();
      try {
        const page = await feed(cursor, cursor === 'now' ? 0 : bound / 4);
        const readable = typeof page?.cursor === 'string' && Array.isArray(page.revocations);
        if (cursor === 'now' || !readable || page.reset) { // what was known may be missing something
          complete = undefined;
          drop(() => true);
        }
        if (!readable) {
          cursor = 'now';
          throw new Error('the answer is no page of revocations');
        }
        hear(page);
        cursor = page.cursor;
        if (!page.more) complete = sent;
        failing = false;
      } catch (error) {
        if (!failing) console.error('The revocations cannot be followed, so each token is asked about:', error.message);
        failing = true;
        await pause(bound / 2);
      }
    }
  }
  follow();

  return async (token) => {
    const key = createHash('sha256').update(token).digest('base64');
    const known = kept.get(key);
    if (known && complete && elapsed(complete) < bound && elapsed(known.at) < MAX_AGE && known.answer.exp > Date.now() / 1000) return known.answer;
    const before = heard, at = moment();
    const answer = await ask(token);
    kept.delete(key);
    if (answer.active && typeof answer.exp === 'number' && before === heard) { // else it may be older than a revocation
      if (kept.size >= ENTRIES) kept.delete(kept.keys().next().value);
      kept.set(key, { answer, at });
    }
    return answer;
  };
}
