// Programs that connect a person to the MCP server whose URL they are told: they register themselves, print where to log
// in, and listen for the answer.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { Client } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { Person } from './lib/person.mjs';
import { issuer, mcpURL, pages } from './lib/server.mjs';

const installed = (file) => path.resolve('node_modules', file);

/** The environment of a program with a home of its own, whose desktop opens no browser. */
function desktop(t) {
  const home = fs.mkdtempSync(path.join(os.tmpdir(), 'home-'));
  t.after(() => fs.rmSync(home, { recursive: true, force: true }));
  const { PATH, NO_PROXY } = process.env;
  return { PATH, NO_PROXY, HOME: home, BROWSER: 'true', NO_COLOR: '1', MCP_AUTO_OPEN_ENABLED: 'true', MCP_INSPECTOR_SECRET_STORE: 'file' };
}

/** Does what the person does who is shown an authorization URL: logs in, allows, and lets the browser bring the answer back. */
async function logInAsAsked(stderr) {
  let said = '';
  stderr.setEncoding('utf8');
  const url = await new Promise((resolve, reject) => {
    stderr.on('data', (text) => {
      said += text;
      const [shown] = said.match(new RegExp(`${pages}/authorize\\?\\S+(?=\\s)`)) ?? [];
      if (shown) {
        resolve(new URL(shown));
      }
    });
    stderr.on('end', () => reject(new Error(`no authorization URL: ${said}`)));
  });
  const someone = new Person();
  const answer = await someone.authorize(url, url.searchParams.get('redirect_uri'));
  assert.ok(someone.pages.some((page) => page.includes('Nobody has checked this application')), 'the program has registered itself');
  assert.equal(answer.searchParams.get('iss'), issuer);
  const response = await fetch(answer);
  await response.arrayBuffer();
  assert.ok(response.ok, `${answer.pathname} of the program: ${response.status}`);
}

test('mcp-remote', async (t) => {
  const transport = new StdioClientTransport({
    command: process.execPath,
    args: [installed('mcp-remote/dist/proxy.js'), mcpURL, '--allow-http'],
    env: desktop(t),
    stderr: 'pipe',
  });
  const client = new Client({ name: 'test', version: '1' });
  t.after(() => client.close());
  await Promise.all([client.connect(transport), logInAsAsked(transport.stderr)]);
  const result = await client.callTool({ name: 'search', arguments: { query: 'fosite' } });
  assert.ok(!result.isError && result.content.length > 0, JSON.stringify(result));
});

test('the MCP Inspector, at the command line', async (t) => {
  const env = desktop(t);
  const inspector = installed('@modelcontextprotocol/inspector/clients/launcher/build/index.js');
  const args = ['--cli', '--server-url', mcpURL, '--transport', 'http', '--callback-url', 'http://127.0.0.1:0/oauth/callback', '--format', 'json'];
  const call = [...args, '--method', 'tools/call', '--tool-name', 'search', '--tool-arg', 'query=fosite'];
  const run = async (more, beside) => {
    const program = spawn(process.execPath, [inspector, ...call, ...more], { env, stdio: ['ignore', 'pipe', 'pipe'] });
    t.after(() => program.kill());
    let said = '';
    program.stdout.setEncoding('utf8').on('data', (text) => (said += text));
    program.stderr.setEncoding('utf8').on('data', (text) => (said += text));
    const [code] = await Promise.all([new Promise((resolve) => program.on('close', resolve)), beside?.(program.stderr)]);
    assert.equal(code, 0, said);
    return said;
  };
  assert.match(await run([], logInAsAsked), /"content"/);
  assert.match(await run(['--stored-auth-only']), /"content"/); // the login is remembered
});
