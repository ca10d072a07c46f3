import { shortened } from '../../text/shortened.ts';

const MAX_TEXT = 4096;

/** Texts for operators are kept, shown and logged; those of a stranger have a bound. */
export const boundedText = (text: string): string =>
  text.length > MAX_TEXT ? `${shortened(text, MAX_TEXT)}...` : text;
