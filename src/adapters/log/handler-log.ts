/**
 * The log of a handler.
 * **In**: lines of its plugin, and ours about it. **Out**: the same with the names of handler and adapter, within bounds, and without the
 * secrets of its config. **Fails**: never.
 */
import type { SecretTexts } from '../../text/secret-texts.ts';
import type { Log, LogFields } from '../contract.ts';
import { logByLevel } from './by-level.ts';
import { boundedFields, boundedText, type FieldBounds } from './bounded-fields.ts';

/** Characters of a line. */
const MAX_MESSAGE = 4096;
const FIELDS: FieldBounds = { text: 4096, all: 16_384 };
/** Secrets are replaced before a text is shortened, since cutting might leave part of one. Text far beyond the bound is dropped first. */
const BEYOND = 16;
const READ: FieldBounds = { text: FIELDS.text * BEYOND, all: FIELDS.all * BEYOND };

/** `names` are on each line; the plugin's own fields do not replace them. */
export function handlerLog(log: Log, secrets: SecretTexts, names: LogFields): Log {
  return logByLevel(
    (level) =>
      (message, fields): void =>
        log[level](boundedText(secrets.text(boundedText(message, MAX_MESSAGE * BEYOND)), MAX_MESSAGE), {
          ...names, // first in the line
          ...boundedFields(secrets.fields(boundedFields(fields, READ)), FIELDS),
          ...names,
        }),
  );
}
