// eslint-disable-next-line no-control-regex
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;
// eslint-disable-next-line no-control-regex
const CONTROLS = /[\u0000-\u001f\u007f-\u009f]/g;

/** Whether it has a control character (C0, DEL or C1); a tab is one. */
export const hasControl = (text: string): boolean => CONTROL.test(text);

export const withoutControls = (text: string): string => (hasControl(text) ? text.replaceAll(CONTROLS, '') : text);
