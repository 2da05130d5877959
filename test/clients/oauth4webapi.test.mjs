// oauth4webapi, which checks every answer against its RFC.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as oauth from 'oauth4webapi';
import { listen } from './lib/loopback.mjs';
import { Person } from './lib/person.mjs';
import { issuer, mcpURL, mcpStatus, register, registerForPeople } from './lib/server.mjs';

const someone = new Person();
const plain = { [oauth.allowInsecureRequests]: true }; // plain HTTP, on loopback

/** From the URL of an MCP server to the metadata of its authorization server. */
async function discover(algorithm = 'oauth2') {
  const response = await oauth.resourceDiscoveryRequest(new URL(mcpURL), plain);
  const resource = await oauth.processResourceDiscoveryResponse(new URL(mcpURL), response);
  const server = new URL(resource.authorization_servers[0]);
  return oauth.processDiscoveryResponse(server, await oauth.discoveryRequest(server, { ...plain, algorithm }));
}

for (const algorithm of ['oauth2', 'oidc']) {
  test(`discovery as ${algorithm}, from the URL of the MCP server`, async () => {
    assert.equal((await discover(algorithm)).issuer, issuer);
  });
}

async function keys(algorithm) {
  const { publicKey, privateKey } = await oauth.generateKeyPair(algorithm, { extractable: true });
  return { privateKey, jwks: { keys: [await crypto.subtle.exportKey('jwk', publicKey)] } };
}

const withSecret = (authentication) => async (metadata) => {
  const registration = await register({ client_name: 'ci', ...metadata });
  return { registration, authentication: authentication(registration.client_secret) };
};
const withKey = (algorithm) => async (metadata) => {
  const { privateKey, jwks } = await keys(algorithm);
  const registration = await register({ client_name: 'ci', ...metadata, token_endpoint_auth_method: 'private_key_jwt', jwks });
  return { registration, authentication: oauth.PrivateKeyJwt(privateKey) };
};
const confidential = {
  client_secret_basic: withSecret(oauth.ClientSecretBasic),
  client_secret_post: withSecret(oauth.ClientSecretPost),
  'private_key_jwt, ES256': withKey('ES256'),
  'private_key_jwt, RS256': withKey('RS256'),
  'private_key_jwt, PS256': withKey('PS256'),
};

async function introspection(server, client, authentication, token) {
  const response = await oauth.introspectionRequest(server, client, authentication, token, plain);
  return oauth.processIntrospectionResponse(server, client, response);
}

async function revoke(server, client, authentication, token) {
  await oauth.processRevocationResponse(await oauth.revocationRequest(server, client, authentication, token, plain));
}

for (const [method, make] of Object.entries(confidential)) {
  test(`client_credentials, introspection and revocation with ${method}`, async () => {
    const server = await discover();
    const { registration, authentication } = await make();
    const client = { client_id: registration.client_id };
    const response = await oauth.clientCredentialsGrantRequest(server, client, authentication, { scope: 'mcp:search' }, plain);
    const { access_token: token, scope } = await oauth.processClientCredentialsResponse(server, client, response);
    assert.equal(scope, 'mcp:search');
    assert.equal(await mcpStatus(token), 200);
    const before = await introspection(server, client, authentication, token);
    assert.deepEqual({ active: before.active, aud: before.aud }, { active: true, aud: [mcpURL] });
    await revoke(server, client, authentication, token);
    assert.deepEqual(await introspection(server, client, authentication, token), { active: false });
    assert.equal(await mcpStatus(token), 401);
  });
}

for (const [who, make, method] of [
  ['a public client', async (metadata) => ({ registration: await registerForPeople(metadata), authentication: oauth.None() })],
  ['a client that posts its secret', withSecret(oauth.ClientSecretPost), 'client_secret_post'],
  ['a client with a key', withKey('ES256'), 'private_key_jwt'],
]) {
  test(`authorization_code and refresh_token by ${who}`, async (t) => {
    const { redirect } = await listen(t);
    const server = await discover();
    const { registration, authentication } = await make({
      client_name: 'app',
      redirect_uris: [redirect],
      grant_types: ['authorization_code', 'refresh_token'],
      ...(method && { token_endpoint_auth_method: method }),
    });
    const client = { client_id: registration.client_id };
    const verifier = oauth.generateRandomCodeVerifier();
    const state = oauth.generateRandomState();
    const url = new URL(server.authorization_endpoint);
    url.search = new URLSearchParams({
      response_type: 'code',
      client_id: client.client_id,
      redirect_uri: redirect,
      scope: 'mcp:search',
      resource: mcpURL,
      state,
      code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
    });
    const answer = await someone.authorize(url, redirect);

    const wrong = new URL(answer);
    wrong.searchParams.set('iss', 'https://attacker.example');
    assert.throws(() => oauth.validateAuthResponse(server, client, wrong, state), /iss/);
    wrong.searchParams.delete('iss');
    assert.throws(() => oauth.validateAuthResponse(server, client, wrong, state), /iss/);

    const code = oauth.validateAuthResponse(server, client, answer, state);
    const redeem = () => oauth.authorizationCodeGrantRequest(server, client, authentication, code, redirect, verifier, plain);
    const first = await oauth.processAuthorizationCodeResponse(server, client, await redeem());
    assert.equal(await mcpStatus(first.access_token), 200);

    const refresh = async (token) => {
      const response = await oauth.refreshTokenGrantRequest(server, client, authentication, token, plain);
      return oauth.processRefreshTokenResponse(server, client, response);
    };
    const second = await refresh(first.refresh_token);
    assert.equal(await mcpStatus(second.access_token), 200);

    // A code that is redeemed twice takes everything with it that came of it (RFC 6749 §4.1.2).
    await assert.rejects(oauth.processAuthorizationCodeResponse(server, client, await redeem()), { error: 'invalid_grant' });
    assert.equal(await mcpStatus(second.access_token), 401);
    await assert.rejects(refresh(second.refresh_token), { error: 'invalid_grant' });
    await revoke(server, client, authentication, second.refresh_token); // is gone already: that is a success (RFC 7009 §2.2)
  });
}
