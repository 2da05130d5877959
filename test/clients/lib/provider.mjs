// What a client of the TypeScript SDK remembers from one step to the next.
import { randomUUID } from 'node:crypto';

export class RememberingProvider {
  expectedState = randomUUID();

  state = () => this.expectedState;
  clientInformation = () => this.client;
  saveClientInformation = (client) => void (this.client = client);
  tokens = () => this.saved;
  saveTokens = (tokens) => void (this.saved = tokens);
  redirectToAuthorization = (url) => void (this.authorizationURL = url);
  saveCodeVerifier = (verifier) => void (this.verifier = verifier);
  codeVerifier = () => this.verifier;
  saveDiscoveryState = (state) => void (this.discovered = state);
  discoveryState = () => this.discovered;
}
