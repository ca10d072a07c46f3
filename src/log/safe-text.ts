/** Makes texts from outside (requests, files, peers, plugins) safe for terminals and logs. */
import { withoutCredentials } from '../attributes/credentials.ts';

// oxlint-disable-next-line no-control-regex -- the pattern matches them on purpose
const CONTROLS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g;
/** Hides credentials; escapes control characters and bidirectional marks; keeps tab and newline. */
export function safeText(text: string): string {
  return withoutCredentials(text).replaceAll(
    CONTROLS,
    (control) => `\\u${control.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** As {@link safeText}, on one line. */
export const safeLine = (text: string): string => safeText(text).replaceAll('\n', '\\n').replaceAll('\t', '\\t');
