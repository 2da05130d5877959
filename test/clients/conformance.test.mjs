// The conformance suite of the MCP project for authorization servers. Someone at a browser does the login it asks for.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { button, launch, logIn } from './lib/browser.mjs';
import { issuer, mcpURL, registerForPeople } from './lib/server.mjs';

// Each check that the suite makes, and what has to come of it.
const expected = {
  'authorization-server-metadata': 'SUCCESS',
  'authorization-server-metadata-cimd': 'SUCCESS',
  'authorization-code-grant': 'SUCCESS',
};

async function freePort() {
  const server = net.createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function results(folder) {
  const files = (await readdir(folder, { recursive: true })).filter((name) => path.basename(name) === 'checks.json');
  return (await Promise.all(files.map(async (name) => JSON.parse(await readFile(path.join(folder, name), 'utf8'))))).flat();
}

test('the authorization server conforms to MCP', async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), 'fosite-mcp-conformance-'));
  t.after(() => rm(folder, { recursive: true }));
  const browser = await launch();
  t.after(() => browser.close());
  const port = await freePort();
  const { client_id: id } = await registerForPeople({ client_name: 'conformance', redirect_uris: ['http://127.0.0.1/callback'] });

  const program = fileURLToPath(import.meta.resolve('@modelcontextprotocol/conformance/package.json').replace('package.json', 'dist/index.js'));
  const args = ['authorization', '--url', issuer, '--client-id', id, '--resource', mcpURL, '-p', port, '-o', folder];
  const suite = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => suite.kill());
  const ended = new Promise((resolve) => suite.once('close', resolve));
  const said = [];
  for await (const line of createInterface({ input: suite.stdout })) {
    said.push(line);
    if (line.startsWith(`${issuer}/`)) {
      const page = await browser.newPage();
      await page.goto(line);
      await logIn(page);
      await button(page, 'Allow').click();
      await page.getByText('OK. You can close this page.').waitFor();
    }
  }
  assert.equal(await ended, 0, said.join('\n'));
  const checks = await results(folder);
  const outcome = Object.fromEntries(checks.map((check) => [check.id, check.status]));
  assert.deepEqual(outcome, expected, JSON.stringify(checks, null, 2));
});
