/** Behaviours of every adapter that serves `enrich`. */
import assert from 'node:assert/strict';
import { type Adapter, valuesOf } from '../contract.ts';
import { type Behaviour, ofOpen, paramsOf } from './behaviours.ts';
import { assertTypes } from './check.ts';
import { type OpenedForTest, testCall } from './open-for-test.ts';
import type { PlacedSubject, EnrichSubject } from './subject.ts';

type Values = Readonly<Record<string, unknown>>;

export function enrichBehaviours(adapter: Adapter, subject: PlacedSubject, example: EnrichSubject): Behaviour[] {
  const params = (): unknown => paramsOf(adapter, 'enrich', example.params);
  const look = async ({ handler }: OpenedForTest, inputs: readonly Values[]): Promise<(Values | undefined)[]> => {
    const lookup = handler.lookup?.({ rule: 'example', params: params() });
    assert.ok(lookup !== undefined);
    return Promise.all(inputs.map(async (input) => valuesOf(await lookup(input, testCall()))));
  };
  const known = example.known.map(({ input }) => input);
  return [
    ofOpen(adapter, subject, 'a known key has its values', async (opened) => {
      assert.ok(known.length > 0, 'the example has no input that is known');
      const found = await look(opened, known);
      assert.deepEqual(
        found.map((values) => ({ ...values })),
        example.known.map(({ output }) => output),
      );
    }),
    ofOpen(adapter, subject, 'an unknown key has no values', async (opened) => {
      assert.ok(example.unknown.length > 0, 'the example has no input that is unknown');
      for (const values of await look(opened, example.unknown)) {
        const given = Object.entries(values ?? {}).filter(([, value]) => value !== undefined);
        assert.deepEqual(given, []);
      }
    }),
    ofOpen(adapter, subject, 'the output has the declared names and types', async (opened) => {
      const declared = adapter.serves.enrich?.output;
      const config = adapter.config.parse(
        typeof subject.config === 'function' ? await (subject.config as () => unknown)() : subject.config,
      );
      const shape =
        typeof declared === 'function'
          ? (declared as (config: unknown, params: unknown) => Readonly<Record<string, string>>)(config, params())
          : (declared ?? {});
      for (const values of await look(opened, known)) assertTypes(values ?? {}, shape);
    }),
  ];
}
