/** Asks a service over HTTP whether a request may pass. */
import { z } from 'zod';
import { defineAdapter } from 'sluice/plugin';
import { callShape, checkServer } from '../http/config.ts';
import { inputsOf, requestMaker, requestShape } from '../http/request.ts';
import { validityIn, validityShape } from '../http/validity.ts';
import { decisionOf, OUTPUT, readingShape } from './decision.ts';

const config = z.strictObject({ ...callShape, ...readingShape, ...validityShape }).check(checkServer);
const params = z.strictObject({ ...requestShape, ...validityShape });

export default defineAdapter({
  name: 'check-http',
  summary: 'Asks a service over HTTP whether a request may pass; its status, or a boolean in its JSON, is the answer.',
  config,
  serves: {
    check: {
      params,
      input: (_: z.output<typeof config>, asked: z.output<typeof params>) => inputsOf(asked),
      output: OUTPUT,
    },
  },
  async open(options, host) {
    const { openClient } = await import('../http/client.ts');
    const client = await openClient(options, host);
    const { maxBodyBytes } = options;
    return {
      check({ params: asked }) {
        const requestOf = requestMaker(options, asked);
        const read = decisionOf(options, validityIn(options, asked), () => host.clock.nowMs());
        return (input, { signal }) => client.ask(requestOf(input), { maxBodyBytes, signal }).then(read);
      },
      close: () => client.close(),
    };
  },
});
