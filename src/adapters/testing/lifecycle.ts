/** Behaviours of every adapter. */
import assert from 'node:assert/strict';
import type { Adapter } from '../contract.ts';
import { descriptionProblems } from '../description.ts';
import { type Behaviour, ofOpen, openSubject } from './behaviours.ts';
import { openForTest } from './open-for-test.ts';
import { messageOf } from '../../text/message-of.ts';
import type { PlacedSubject } from './subject.ts';

const SETTLED_WITHIN_MS = 5000;

/** `says` alone would match the message of a config that was taken, which names it. */
const refusedAs =
  (says: RegExp) =>
  (error: unknown): true => {
    if (error instanceof assert.AssertionError) throw error;
    assert.match(messageOf(error), says);
    return true;
  };

export function lifecycleBehaviours(adapter: Adapter, subject: PlacedSubject): Behaviour[] {
  return [
    {
      says: 'its description is complete, every field of its config described',
      show: () =>
        assert.deepEqual(
          descriptionProblems(adapter).map(({ message }) => message),
          [],
        ),
    },
    {
      says: 'a misspelt key of the config is refused',
      async show() {
        const config =
          typeof subject.config === 'function' ? await (subject.config as () => unknown)() : subject.config;
        assert.equal(adapter.config.safeParse(config).success, true, 'the example config itself is refused');
        const typo = adapter.config.safeParse({ ...(config as object), mispelt: 1 });
        assert.equal(typo.success, false, 'a config with the key "mispelt" was taken');
      },
    },
    ...(subject.badConfigs ?? []).map(({ config, says }): Behaviour => ({
      says: `a bad config is refused: ${says.source}`,
      async show() {
        await assert.rejects(async () => {
          const opened = await openForTest(adapter, {
            config,
            ...(subject.folder === undefined ? {} : { folder: subject.folder }),
          });
          await opened.close();
          assert.fail(
            `the config ${JSON.stringify(config)} was taken; expected a refusal that matches ${says}: ` +
              'let the schema of the config, or open, refuse it',
          );
        }, refusedAs(says));
      },
    })),
    ofOpen(adapter, subject, 'it opens and closes without use', () => undefined),
    {
      says: 'closing twice is harmless',
      async show() {
        const opened = await openSubject(adapter, subject);
        await opened.close();
        await opened.close();
        await opened.handler.close?.();
        assert.deepEqual(
          opened.logged.filter(({ level }) => level === 'error'),
          [],
        );
      },
    },
    {
      says: 'two open handlers close independently',
      async show() {
        const [one, other] = await Promise.all([openSubject(adapter, subject), openSubject(adapter, subject)]);
        await one.close();
        await other.close();
        assert.deepEqual(
          [...one.logged, ...other.logged].filter(({ level }) => level === 'error'),
          [],
        );
      },
    },
    {
      says: 'opening ends when it is aborted',
      async show() {
        const giveUp = new AbortController();
        const opening = openSubject(adapter, subject, giveUp.signal).then(
          (opened) => opened.close(),
          () => undefined,
        );
        giveUp.abort();
        let timer: NodeJS.Timeout | undefined;
        const late = new Promise<'late'>((resolve) => {
          timer = setTimeout(() => resolve('late'), SETTLED_WITHIN_MS);
        });
        const first = await Promise.race([opening, late]);
        clearTimeout(timer);
        assert.notEqual(first, 'late', `not settled ${SETTLED_WITHIN_MS} ms after its signal was aborted`);
      },
    },
  ];
}
