/** Verifies JSON Web Tokens, and gives their claims. */
import { z } from 'zod';
import { defineAdapter } from 'sluice/plugin';
import { bearerCheck, bearerLookup, bearerParams, type BearerTokens } from '../tokens/bearer.ts';
import { tokenInputs } from '../tokens/locations.ts';
import { configSchema, locationsOf, outputShape } from './config.ts';

const inputs = tokenInputs(locationsOf);
const paramsSchema = z
  .strictObject({
    ...bearerParams,
    wrongAudience: z
      .enum(['unauthenticated', 'forbidden'])
      .default('unauthenticated')
      .describe("A token for another audience: 401 as RFC 6750 says, or 403 as Envoy's jwt_authn and Istio answer."),
  })
  .prefault({});

export default defineAdapter({
  name: 'jwt',
  summary: 'Verifies JSON Web Tokens, and gives their claims.',
  config: configSchema,
  serves: {
    check: { params: paramsSchema, ...inputs },
    enrich: { ...inputs, output: outputShape },
  },
  selfContained: ({ issuers }) => issuers.every(({ url, discovery }) => url === undefined && discovery === undefined),
  async open(config, host) {
    const { openVerifier } = await import('./open-verifier.ts');
    const opened = await openVerifier(config, host);
    const { verifier, find } = opened;
    const tokens: BearerTokens = { locations: locationsOf(config), find, verify: (found) => verifier.verify(found) };
    return {
      check: ({ params }) => bearerCheck(tokens, params, { realm: config.realm, wrongAudience: params.wrongAudience }),
      lookup: () => bearerLookup(tokens),
      close: () => opened.close(),
    };
  },
});
