// The TypeScript MCP client, which nobody has registered, from the URL of an MCP server to a tool call.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client, StreamableHTTPClientTransport, UnauthorizedError } from '@modelcontextprotocol/client';
import { listen } from './lib/loopback.mjs';
import { Person } from './lib/person.mjs';
import { RememberingProvider } from './lib/provider.mjs';
import { introspect, issuer, mcpURL } from './lib/server.mjs';

/** A client that knows nothing but where it listens. */
class NewcomerProvider extends RememberingProvider {
  constructor(redirect, metadata) {
    super();
    this.redirectUrl = redirect;
    this.clientMetadata = { redirect_uris: [redirect], grant_types: ['authorization_code', 'refresh_token'], response_types: ['code'], ...metadata };
  }
}

for (const [how, metadata] of [
  ['a public client', { client_name: 'newcomer', token_endpoint_auth_method: 'none', scope: 'openid mcp:search' }],
  ['a client with a secret', { client_name: 'newcomer with a secret', token_endpoint_auth_method: 'client_secret_post' }],
  ['a client that says little', {}],
]) {
  test(`registration, ${how}`, async (t) => {
    const program = await listen(t);
    const provider = new NewcomerProvider(program.redirect, metadata);
    const transport = new StreamableHTTPClientTransport(new URL(mcpURL), { authProvider: provider });
    await assert.rejects(new Client({ name: 'test', version: '1' }).connect(transport), UnauthorizedError);
    assert.ok(provider.client.client_id, 'the client has registered itself');

    const someone = new Person();
    const { searchParams: answer } = await someone.authorize(provider.authorizationURL, program.redirect);
    assert.ok(someone.pages.some((page) => page.includes('Nobody has checked this application')), 'the consent page warns');
    assert.equal(answer.get('iss'), issuer);
    const shown = someone.pages.length;
    await someone.authorize(provider.authorizationURL, program.redirect);
    assert.ok(someone.pages.length > shown, 'they are asked each time: the client may have changed');
    await transport.finishAuth(answer);

    const client = new Client({ name: 'test', version: '1' });
    await client.connect(new StreamableHTTPClientTransport(new URL(mcpURL), { authProvider: provider }));
    t.after(() => client.close());
    const result = await client.callTool({ name: 'search', arguments: { query: 'fosite' } });
    assert.ok(!result.isError && result.content.length > 0, JSON.stringify(result));
    const { active, client_id: owner, username } = await introspect(provider.saved.access_token);
    assert.deepEqual({ active, owner, username }, { active: true, owner: provider.client.client_id, username: 'ada' });
  });
}
