// The TypeScript MCP client, which an enterprise's identity provider lets act for a person.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client, CrossAppAccessProvider, discoverAndRequestJwtAuthGrant, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { introspect, issuer, mcpURL } from './lib/server.mjs';

test('CrossAppAccessProvider', async (t) => {
  const authProvider = new CrossAppAccessProvider({
    assertion: async ({ authorizationServerUrl, resourceUrl, scope, fetchFn }) => {
      const { jwtAuthGrant } = await discoverAndRequestJwtAuthGrant({
        idpUrl: process.env.IDP_URL,
        audience: authorizationServerUrl,
        resource: resourceUrl,
        idToken: process.env.ID_TOKEN,
        clientId: 'app-at-acme',
        scope,
        fetchFn,
      });
      return jwtAuthGrant;
    },
    clientId: 'app',
    clientSecret: process.env.APP_SECRET,
    expectedIssuer: issuer,
  });
  const client = new Client({ name: 'test', version: '1' });
  await client.connect(new StreamableHTTPClientTransport(new URL(mcpURL), { authProvider }));
  t.after(() => client.close());
  const result = await client.callTool({ name: 'search', arguments: { query: 'fosite' } });
  assert.ok(!result.isError && result.content.length > 0, JSON.stringify(result));
  const { active, client_id: owner, sub, scope, aud, sub_id: subject } = await introspect(authProvider.tokens().access_token);
  assert.deepEqual({ active, owner, sub, scope, aud }, { active: true, owner: 'app', sub: 'U019488227', scope: 'mcp:search', aud: [mcpURL] });
  assert.deepEqual(subject, { format: 'iss_sub', iss: process.env.IDP_URL, sub: 'U019488227' });
});
