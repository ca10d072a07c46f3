/** Texts from outside (requests, files, peers, plugins) made safe to print on a terminal and to keep in a log. */
import { withoutCredentials } from '../attributes/credentials.ts';

// oxlint-disable-next-line no-control-regex -- those are what is looked for
const CONTROLS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g;
/** Without credentials; control characters and marks that turn the direction of writing are escaped, tab and newline are kept. */
export function safeText(text: string): string {
  return withoutCredentials(text).replaceAll(
    CONTROLS,
    (control) => `\\u${control.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** The same on one line. */
export const safeLine = (text: string): string => safeText(text).replaceAll('\n', '\\n').replaceAll('\t', '\\t');
