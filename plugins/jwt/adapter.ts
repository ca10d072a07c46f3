/** Verifies JSON Web Tokens, and gives their claims. */
import { z } from 'zod';
import { allow, type CheckAnswer, defineAdapter, type LookupAnswer } from 'sluice/plugin';
import { configSchema, defaultInputs, inputShape, locationsOf, outputShape } from './config.ts';
import { Denials } from '../tokens/denial.ts';
import { shownLocations } from '../tokens/locations.ts';
import { Refused } from '../tokens/refused.ts';
import type { Proof } from './verifier.ts';

const paramsSchema = z
  .strictObject({
    required: z
      .boolean()
      .default(true)
      .describe('Whether a call without a token is denied. A token that is there must be valid in any case.'),
    scopes: z
      .array(z.string().regex(/^[!#-[\]-~]+$/, 'a scope is printable ASCII without blanks, quotes and backslashes'))
      .default([])
      .describe('Scopes that the token must have, all of them; else the answer is 403, insufficient_scope.')
      .meta({ examples: [['orders:read']] }),
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
    check: {
      params: paramsSchema,
      input: inputShape,
      defaults: defaultInputs,
    },
    enrich: { input: inputShape, defaults: defaultInputs, output: outputShape },
  },
  selfContained: ({ issuers }) => issuers.every(({ url, discovery }) => url === undefined && discovery === undefined),
  async open(config, host) {
    const { openVerifier } = await import('./open-verifier.ts');
    const opened = await openVerifier(config, host);
    const { verifier, find } = opened;
    const missing = `no token in ${shownLocations(locationsOf(config))}`;
    const passed = allow();
    return {
      check({ params: { required, scopes, wrongAudience } }) {
        const denials = new Denials({ realm: config.realm, wrongAudience });
        const answerOf = (proof: Proof): CheckAnswer => {
          if (proof instanceof Refused) return denials.refused(proof);
          const lacking = scopes.find((scope) => !proof.scopes.includes(scope));
          return lacking === undefined ? passed : denials.insufficient(scopes, `the token lacks the scope ${lacking}`);
        };
        return (input) => {
          const found = find(input);
          if (found === undefined) return required ? denials.missing(missing) : passed;
          const proof = found instanceof Refused ? found : verifier.verify(found);
          return proof instanceof Promise ? proof.then(answerOf) : answerOf(proof);
        };
      },
      lookup() {
        const valuesOf = (proof: Proof): LookupAnswer => (proof instanceof Refused ? undefined : proof.outputs);
        return (input) => {
          const found = find(input);
          if (found === undefined || found instanceof Refused) return undefined;
          const proof = verifier.verify(found);
          return proof instanceof Promise ? proof.then(valuesOf) : valuesOf(proof);
        };
      },
      close: () => opened.close(),
    };
  },
});
