/** What a setting names cannot be used. */
export class SettingError extends Error {}
