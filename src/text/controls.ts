// eslint-disable-next-line no-control-regex
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;
// eslint-disable-next-line no-control-regex
const CONTROLS = /[\u0000-\u001f\u007f-\u009f]/g;

/** Whether it has a control character (C0, DEL or C1); a tab is one. */
export const hasControl = (text: string): boolean => CONTROL.test(text);

export const withoutControls = (text: string): string => (hasControl(text) ? text.replaceAll(CONTROLS, '') : text);

// oxlint-disable-next-line no-control-regex -- the pattern matches them on purpose
const CONFUSING = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g;

/** Control characters and bidirectional marks as escapes, but for tab and newline. */
export const visibleControls = (text: string): string =>
  text.replaceAll(CONFUSING, (control) => `\\u${control.charCodeAt(0).toString(16).padStart(4, '0')}`);

/** The same in the length of the text, so that what stands under it stays aligned. */
export const replacedControls = (text: string): string => text.replaceAll(CONFUSING, '\ufffd');
