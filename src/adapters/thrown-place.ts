/**
 * Where a plugin's error was thrown, for operators.
 * **In**: any thrown value. **Out**: `PATH:LINE:COLUMN`. **Fails**: never.
 */
import { pathToFileURL } from 'node:url';
import { SOURCE_FOLDER } from '../files/program.ts';
import { kindOf } from '../text/kind-of.ts';
import { messageOf } from '../text/message-of.ts';
import { stackLines } from '../text/stack-lines.ts';
import { withoutReload } from './loading/reload-url.ts';

const OWN = [SOURCE_FOLDER, pathToFileURL(SOURCE_FOLDER).href];
const FRAME = /^ +at (?:.*\()?(?:file:\/\/)?(.+?:\d+:\d+)\)?$/;

/** The first stack frame outside of Sluice and Node, since a plugin may call both wrongly; else the first one. */
export function thrownAt(thrown: unknown): string | undefined {
  const frames = stackLines(thrown).filter((line) => FRAME.test(line));
  const frame = frames.find((line) => !line.includes('node:') && !OWN.some((own) => line.includes(own))) ?? frames[0];
  const place = frame === undefined ? undefined : FRAME.exec(frame)?.[1];
  return place === undefined ? undefined : withoutReload(place);
}

/** The message; with its place if it is a bug of the plugin rather than a complaint about a config or rule. */
export function saidBy(thrown: unknown, message: string = messageOf(thrown)): string {
  const place = thrown instanceof TypeError || thrown instanceof ReferenceError ? thrownAt(thrown) : undefined;
  return place === undefined ? message : `${message} (thrown at ${place})`;
}

/** A bucket or a sink, which may be any value but a promise: calls would get the promise. */
export function notPromised<T>(method: 'bucket' | 'sink', made: T): T {
  if (kindOf(made) !== 'a promise') return made;
  (made as unknown as Promise<unknown>).then(undefined, () => undefined); // it is not used, so its failure is nobody's
  const gets = method === 'bucket' ? 'charge()' : 'write()';
  throw new Error(`${method}(rule) returned a promise; it must return, at once, what ${gets} gets for the rule`);
}

/** The problem of a rule for which the plugin returned no function. */
export const noFunction = (method: 'check' | 'lookup', made: unknown): string =>
  `${method}(rule) returned ${kindOf(made)}; it must return, at once, the function that answers the calls of the rule`;
