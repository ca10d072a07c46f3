/** Asks a service over HTTP whether a request may pass. */
import { z } from 'zod';
import { defineAdapter } from 'sluice/plugin';
import { callShape, checkServer } from '../http/config.ts';
import { inputsOf, requestMaker, requestShape } from '../http/request.ts';
import { validityIn, validityShape } from '../http/validity.ts';
import { decisionOf, OUTPUT, readingShape } from './decision.ts';

const configSchema = z.strictObject({ ...callShape, ...readingShape, ...validityShape }).check(checkServer);
const paramsSchema = z.strictObject({ ...requestShape, ...validityShape });

export default defineAdapter({
  name: 'check-http',
  summary: 'Asks a service over HTTP whether a request may pass; its status, or a boolean in its JSON, is the answer.',
  config: configSchema,
  serves: {
    check: {
      params: paramsSchema,
      input: (_: z.output<typeof configSchema>, params: z.output<typeof paramsSchema>) => inputsOf(params),
      output: OUTPUT,
    },
  },
  async open(config, host) {
    const { openClient } = await import('../http/client.ts');
    const client = await openClient(config, host);
    const { maxBodyBytes } = config;
    return {
      check({ params }) {
        const requestOf = requestMaker(config, params);
        const read = decisionOf(config, validityIn(config, params), () => host.clock.nowMs());
        return (input, { signal }) => client.ask(requestOf(input), { maxBodyBytes, signal }).then(read);
      },
      close: () => client.close(),
    };
  },
});
