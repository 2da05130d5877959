// JWT access tokens, as jose and oauth4webapi verify them: by the JWKS alone, before, during and after a rotation of keys.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { createRemoteJWKSet, customFetch, decodeProtectedHeader, jwtVerify } from 'jose';
import * as oauth from 'oauth4webapi';
import { introspect, issuer, mcpStatus, mcpURL, pages, post, register } from './lib/server.mjs';

const algorithm = process.env.ALGORITHM;
const client = await register({ client_name: 'ci' });
const credentials = `Basic ${btoa(`${client.client_id}:${client.client_secret}`)}`;

async function mint() {
  const { status, body } = await post('token', { grant_type: 'client_credentials' }, credentials);
  assert.equal(status, 200, JSON.stringify(body));
  return body.access_token;
}

/** A verifier by jose with a JWKS of its own, which counts how often it fetches that. */
function verifier() {
  let fetches = 0;
  const keys = createRemoteJWKSet(new URL(`${pages}/jwks.json`), {
    [customFetch]: (...request) => {
      fetches++;
      return fetch(...request);
    },
  });
  const verify = (token) => jwtVerify(token, keys, { issuer, audience: mcpURL, typ: 'at+jwt', algorithms: [algorithm] });
  return { verify, fetches: () => fetches };
}

const as = { issuer, jwks_uri: `${pages}/jwks.json` };

/** oauth4webapi validates a request with the token as RFC 9068 §4 says. */
function validate(token) {
  const request = new Request(mcpURL, { headers: { Authorization: `Bearer ${token}` } });
  return oauth.validateJwtAccessToken(as, request, mcpURL, { [oauth.allowInsecureRequests]: true, signingAlgorithms: [algorithm] });
}

test('the claims are those of the introspection', async () => {
  const token = await mint();
  const { payload } = await verifier().verify(token);
  const answer = await introspect(token);
  for (const name of ['iss', 'sub', 'client_id', 'scope', 'iat', 'exp', 'jti']) {
    assert.equal(payload[name], answer[name], name);
    assert.ok(payload[name], name);
  }
  assert.equal((await validate(token)).jti, payload.jti);
  assert.equal(await mcpStatus(token), 200); // which introspects
});

test('a signed introspection answer (RFC 9701)', async () => {
  const plain = { [oauth.allowInsecureRequests]: true };
  const server = new URL(issuer);
  const metadata = await oauth.processDiscoveryResponse(server, await oauth.discoveryRequest(server, { ...plain, algorithm: 'oauth2' }));
  assert.ok(metadata.introspection_signing_alg_values_supported.includes(algorithm));
  const caller = { client_id: client.client_id, introspection_signed_response_alg: algorithm };
  const authentication = oauth.ClientSecretBasic(client.client_secret);
  for (const [token, active] of [[await mint(), true], ['unknown', false]]) {
    const response = await oauth.introspectionRequest(metadata, caller, authentication, token, { ...plain, requestJwtResponse: true });
    const answer = await oauth.processIntrospectionResponse(metadata, caller, response);
    assert.equal(answer.active, active);
    await oauth.validateApplicationLevelSignature({ ...metadata, jwks_uri: `${pages}/jwks.json` }, response, plain);
  }
});

test('a revoked token is dead at introspection at once, and a verifier does not hear of it', async () => {
  const token = await mint();
  assert.equal((await introspect(token)).active, true);
  assert.equal((await post('revoke', { token }, credentials)).status, 200);
  assert.deepEqual(await introspect(token), { active: false });
  assert.equal(await mcpStatus(token), 401);
  await verifier().verify(token);
});

test('the snippet of docs/jwt.md takes tokens for its resource, and no others', { skip: algorithm !== 'ES256' }, async () => {
  const document = fs.readFileSync(new URL('../../docs/jwt.md', import.meta.url), 'utf8');
  const [, snippet] = document.match(/```js\n(.*?)```/s);
  const file = path.join(import.meta.dirname, `.snippet-${process.pid}.mjs`);
  after(() => fs.rmSync(file, { force: true }));
  fs.writeFileSync(file, snippet);
  Object.assign(globalThis, { issuer, resource: mcpURL });
  const { verify } = await import(file);
  const token = await mint();
  assert.equal((await verify(token)).client_id, client.client_id);
  await assert.rejects(verify(`${token.slice(0, -8)}AAAAAAAA`), { code: 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED' });
  globalThis.resource = 'https://other.example.com/mcp';
  await assert.rejects(verify(token), { code: 'ERR_JWT_CLAIM_VALIDATION_FAILED' });
});

test('a rotation under load fails nobody', { skip: !process.env.ROTATE_URL }, async () => {
  const early = verifier(); // fetches the keys once, before the rotation
  const old = await mint();
  await early.verify(old);
  let minted = 0;
  const kids = new Set();
  async function use() {
    const token = await mint();
    minted++;
    kids.add(decodeProtectedHeader(token).kid);
    await early.verify(token);
    await validate(token);
    assert.equal((await introspect(token)).active, true);
  }
  let rotated;
  const until = Date.now() + 60_000;
  const workers = [1, 2, 3, 4].map(async () => {
    // Some more once the new key signs.
    for (let more = 20; more > 0; more -= kids.size > 1 ? 1 : 0) {
      assert.ok(Date.now() < until, 'the new key does not sign');
      await use();
      rotated ??= fetch(process.env.ROTATE_URL, { method: 'POST' });
    }
  });
  await Promise.all(workers);
  assert.equal((await rotated).status, 200);
  assert.equal(kids.size, 2);
  assert.equal(early.fetches(), 1, 'the verifier knew the new key before it signed');
  for (const token of [old, await mint()]) {
    await early.verify(token);
    await verifier().verify(token); // with the keys of now
    assert.equal((await introspect(token)).active, true);
  }
  console.log(`${minted} tokens`);
});
