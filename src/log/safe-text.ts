/** Makes texts from outside (requests, files, peers, plugins) safe for terminals and logs. */
import { withoutCredentials } from '../attributes/credentials.ts';
import { visibleControls } from '../text/controls.ts';

/** Hides credentials; escapes control characters and bidirectional marks; keeps tab and newline. */
export const safeText = (text: string): string => visibleControls(withoutCredentials(text));

/** As {@link safeText}, on one line. */
export const safeLine = (text: string): string => safeText(text).replaceAll('\n', '\\n').replaceAll('\t', '\\t');
