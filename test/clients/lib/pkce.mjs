import { createHash, randomBytes } from 'node:crypto';
import { mcpURL, pages, post } from './server.mjs';

/** An authorization request of a client, written by hand, and how its code is redeemed. */
export function authorizationRequest({ client, redirect, ...more }) {
  const verifier = randomBytes(32).toString('base64url');
  const state = randomBytes(16).toString('base64url');
  const url = new URL(`${pages}/authorize`);
  url.search = new URLSearchParams({
    response_type: 'code',
    client_id: client.client_id,
    redirect_uri: redirect,
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
    scope: 'mcp:search',
    resource: mcpURL,
    state,
    ...more,
  });
  const redeem = (code) =>
    post(
      'token',
      {
        grant_type: 'authorization_code',
        code,
        redirect_uri: redirect,
        code_verifier: verifier,
        ...(!client.client_secret && { client_id: client.client_id }),
      },
      client.client_secret && `Basic ${btoa(`${client.client_id}:${client.client_secret}`)}`,
    );
  return { url: url.href, state, redeem };
}
