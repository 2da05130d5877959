// openid-client: discovery in both forms, every grant with every way to authenticate, introspection, revocation.
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import * as oidc from 'openid-client';
import { listen } from './lib/loopback.mjs';
import { Person } from './lib/person.mjs';
import { issuer, mcpURL, register, registerForPeople } from './lib/server.mjs';

const someone = new Person();

async function signingKey() {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256' };
  const key = await crypto.subtle.importKey('pkcs8', privateKey.export({ type: 'pkcs8', format: 'der' }), algorithm, false, ['sign']);
  return { key, jwks: { keys: [publicKey.export({ format: 'jwk' })] } };
}

/** Discovers the server as a client. */
function discover(registration, authentication, algorithm = 'oauth2') {
  return oidc.discovery(new URL(issuer), registration.client_id, undefined, authentication, {
    algorithm,
    execute: [oidc.allowInsecureRequests], // plain HTTP, on loopback
  });
}

for (const algorithm of ['oauth2', 'oidc']) {
  test(`discovery as ${algorithm}`, async () => {
    const metadata = (await discover({ client_id: 'anyone' }, oidc.None(), algorithm)).serverMetadata();
    assert.equal(metadata.issuer, issuer);
    assert.ok(metadata.supportsPKCE());
    assert.ok(metadata.authorization_response_iss_parameter_supported);
  });
}

const confidential = {
  client_secret_basic: async () => {
    const registration = await register({ client_name: 'ci' });
    return { registration, authentication: oidc.ClientSecretBasic(registration.client_secret) };
  },
  client_secret_post: async () => {
    const registration = await register({ client_name: 'ci' });
    return { registration, authentication: oidc.ClientSecretPost(registration.client_secret) };
  },
  private_key_jwt: async () => {
    const { key, jwks } = await signingKey();
    const registration = await register({ client_name: 'ci', token_endpoint_auth_method: 'private_key_jwt', jwks });
    return { registration, authentication: oidc.PrivateKeyJwt(key) };
  },
};

for (const [method, make] of Object.entries(confidential)) {
  test(`client_credentials, introspection and revocation with ${method}`, async () => {
    const { registration, authentication } = await make();
    const config = await discover(registration, authentication);
    const answer = await oidc.clientCredentialsGrant(config, { scope: 'mcp:search', resource: mcpURL });
    assert.deepEqual(
      { type: answer.token_type, scope: answer.scope, lifetime: answer.expires_in, refresh: answer.refresh_token },
      { type: 'bearer', scope: 'mcp:search', lifetime: 14 * 24 * 3600, refresh: undefined },
    );
    const before = await oidc.tokenIntrospection(config, answer.access_token);
    assert.deepEqual(
      { active: before.active, client_id: before.client_id, aud: before.aud, iss: before.iss },
      { active: true, client_id: registration.client_id, aud: [mcpURL], iss: issuer },
    );
    await oidc.tokenRevocation(config, answer.access_token);
    assert.deepEqual(await oidc.tokenIntrospection(config, answer.access_token), { active: false });
  });
}

test('a wrong secret is invalid_client with a challenge', async () => {
  const registration = await register({ client_name: 'ci' });
  const config = await discover(registration, oidc.ClientSecretBasic('mcp_cs_wrong'));
  await assert.rejects(oidc.clientCredentialsGrant(config), (error) => {
    assert.ok(error instanceof oidc.WWWAuthenticateChallengeError || error instanceof oidc.ResponseBodyError, String(error));
    assert.equal(error.status, 401);
    return true;
  });
});

const people = {
  'a public client': async (redirect) => ({
    registration: await registerForPeople({ client_name: 'desktop app', redirect_uris: [redirect] }),
    authentication: oidc.None(),
  }),
  'a confidential client': async (redirect) => {
    const registration = await registerForPeople({
      client_name: 'web app',
      redirect_uris: [redirect],
      token_endpoint_auth_method: 'client_secret_basic',
    });
    return { registration, authentication: oidc.ClientSecretBasic(registration.client_secret) };
  },
  'a client with a key': async (redirect) => {
    const { key, jwks } = await signingKey();
    const registration = await registerForPeople({
      client_name: 'web app with a key',
      redirect_uris: [redirect],
      token_endpoint_auth_method: 'private_key_jwt',
      jwks,
    });
    return { registration, authentication: oidc.PrivateKeyJwt(key) };
  },
};

for (const [who, make] of Object.entries(people)) {
  for (const algorithm of ['oauth2', 'oidc']) {
    test(`authorization_code and refresh_token by ${who}, discovered as ${algorithm}`, async (t) => {
      const { redirect } = await listen(t);
      const { registration, authentication } = await make(redirect);
      const config = await discover(registration, authentication, algorithm);
      const pkceCodeVerifier = oidc.randomPKCECodeVerifier();
      const expectedState = oidc.randomState();
      const url = oidc.buildAuthorizationUrl(config, {
        redirect_uri: redirect,
        scope: 'mcp:search',
        resource: mcpURL,
        state: expectedState,
        code_challenge: await oidc.calculatePKCECodeChallenge(pkceCodeVerifier),
        code_challenge_method: 'S256',
      });
      const answer = await someone.authorize(url, redirect);
      // The library refuses an answer without the right iss, because the metadata announce it (RFC 9207).
      const first = await oidc.authorizationCodeGrant(config, answer, { pkceCodeVerifier, expectedState });
      assert.equal(first.scope, 'mcp:search');
      assert.equal(first.id_token, undefined);

      const second = await oidc.refreshTokenGrant(config, first.refresh_token);
      assert.notEqual(second.access_token, first.access_token);
      assert.ok(second.refresh_token);
      if (registration.client_secret) {
        const { active, username, aud } = await oidc.tokenIntrospection(config, second.access_token);
        assert.deepEqual({ active, username, aud }, { active: true, username: 'ada', aud: [mcpURL] });
      }
      await oidc.tokenRevocation(config, second.refresh_token);
      await assert.rejects(oidc.refreshTokenGrant(config, second.refresh_token), { error: 'invalid_grant' });
    });
  }
}
