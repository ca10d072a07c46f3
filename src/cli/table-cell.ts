/** A text as a cell of a table in Markdown. */
export const tableCell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ');
