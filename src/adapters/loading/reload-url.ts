/** The query of a module that is loaded again, since Node keeps the one that it has loaded, or failed to load, under its URL. */
export const RELOAD = /\?reload=\d+$/;
export const reloadUrl = (url: string, times: number): string => (times === 0 ? url : `${url}?reload=${times}`);
export const withoutReload = (text: string): string => text.replaceAll(/\?reload=\d+/g, '');
