// The TypeScript MCP client, which nobody has registered and which registers nowhere: its client_id is the URL of a document.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client, StreamableHTTPClientTransport, UnauthorizedError } from '@modelcontextprotocol/client';
import { Person } from './lib/person.mjs';
import { RememberingProvider } from './lib/provider.mjs';
import { introspect, issuer, mcpURL } from './lib/server.mjs';

const documentURL = process.env.DOCUMENT_URL;
const redirect = 'http://127.0.0.1:53683/callback'; // nobody listens there: the answer is read from the redirect

class DocumentedProvider extends RememberingProvider {
  redirectUrl = redirect;
  clientMetadataUrl = documentURL;
  clientMetadata = { client_name: 'unused', redirect_uris: [redirect] };
}

test('a client metadata document', async (t) => {
  const provider = new DocumentedProvider();
  const transport = new StreamableHTTPClientTransport(new URL(mcpURL), { authProvider: provider });
  await assert.rejects(new Client({ name: 'test', version: '1' }).connect(transport), UnauthorizedError);
  assert.equal(provider.authorizationURL.searchParams.get('client_id'), documentURL);

  const someone = new Person();
  const { searchParams: answer } = await someone.authorize(provider.authorizationURL, redirect);
  assert.ok(someone.pages.some((page) => page.includes('Documented app') && page.includes(`comes from <bdi>${new URL(documentURL).host}</bdi>`)), someone.pages.join('\n'));
  assert.equal(answer.get('iss'), issuer);
  await transport.finishAuth(answer);

  const client = new Client({ name: 'test', version: '1' });
  await client.connect(new StreamableHTTPClientTransport(new URL(mcpURL), { authProvider: provider }));
  t.after(() => client.close());
  const result = await client.callTool({ name: 'search', arguments: { query: 'fosite' } });
  assert.ok(!result.isError && result.content.length > 0, JSON.stringify(result));
  const { active, client_id: owner, client_name: name, username } = await introspect(provider.saved.access_token);
  assert.deepEqual({ active, owner, name, username }, { active: true, owner: documentURL, name: 'Documented app', username: 'ada' });
});
