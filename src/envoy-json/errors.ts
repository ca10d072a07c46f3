import { messageOf } from '../text/message-of.ts';

/** The message begins with the path of the field: `filter_chains[0].filters[1].typed_config: ...`. */
export class EnvoyJsonError extends Error {
  override name = 'EnvoyJsonError';
  readonly path: string;
  readonly why: string;

  constructor(why: string, path = '', cause?: unknown) {
    super(path === '' ? why : `${path}: ${why}`, { cause });
    this.path = path;
    this.why = why;
  }
}

/** An error in a field, or in an item of a list, as one of the message that has it. */
export function errorWithin(step: string | number, error: unknown): EnvoyJsonError {
  const known = error instanceof EnvoyJsonError ? error : new EnvoyJsonError(messageOf(error), '', error);
  const { path } = known;
  const own = typeof step === 'number' ? `[${step}]` : step;
  return new EnvoyJsonError(
    known.why,
    path === '' || path.startsWith('[') ? own + path : `${own}.${path}`,
    known.cause,
  );
}
