/** Facts from the JSON of a service, asked over HTTP. */
import { z } from 'zod';
import { defineAdapter, found, type LookupAnswer } from 'sluice/plugin';
import { type HttpAnswer, jsonOf, unexpected } from '../http/answer.ts';
import { callShape, checkServer } from '../http/config.ts';
import { inputsOf, requestMaker, requestShape } from '../http/request.ts';
import { validityIn, validityOf, validityShape } from '../http/validity.ts';
import { shapeOfValues, valuesReader, valuesSchema } from './values.ts';

const configSchema = z
  .strictObject({
    ...callShape,
    values: valuesSchema,
    unknown: z
      .array(z.int().min(200).max(499))
      .default([404])
      .describe('Statuses that mean "not found": the attributes are absent.'),
    ...validityShape,
  })
  .check(checkServer);
const paramsSchema = z.strictObject({ ...requestShape, ...validityShape });

export default defineAdapter({
  name: 'enrich-http',
  summary: 'Asks a service over HTTP for facts, and gives values of its JSON.',
  config: configSchema,
  serves: {
    enrich: {
      params: paramsSchema,
      input: (_: z.output<typeof configSchema>, params: z.output<typeof paramsSchema>) => inputsOf(params),
      output: ({ values }: z.output<typeof configSchema>) => shapeOfValues(values),
    },
  },
  async open(config, host) {
    const { openClient } = await import('../http/client.ts');
    const client = await openClient(config, host);
    const { maxBodyBytes } = config;
    const unknown = new Set(config.unknown);
    const expected = ['2xx', ...unknown].join(', ');
    const valuesOf = valuesReader(config.values);
    return {
      lookup({ params }) {
        const requestOf = requestMaker(config, params);
        const validity = validityIn(config, params);
        const read = (answer: HttpAnswer): LookupAnswer => {
          const nowMs = host.clock.nowMs();
          const isUnknown = unknown.has(answer.status);
          if (!isUnknown && (answer.status < 200 || answer.status > 299)) throw unexpected(answer, expected, nowMs);
          const values = isUnknown ? undefined : valuesOf(jsonOf(answer));
          return found(values, validityOf(answer, validity, isUnknown, nowMs));
        };
        return (input, { signal }) => client.ask(requestOf(input), { maxBodyBytes, signal }).then(read);
      },
      close: () => client.close(),
    };
  },
});
