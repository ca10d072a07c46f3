import { ellipsized } from '../../text/shortened.ts';

const MAX_TEXT = 4096;

/** Texts for operators are kept, shown and logged; those of a stranger have a bound. */
export const boundedText = (text: string): string => ellipsized(text, MAX_TEXT);
