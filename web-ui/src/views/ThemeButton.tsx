import { nextTheme, theme } from "../ui/theme";
import { Button } from "../ui/parts";

const LOOKS = {
  system: { icon: "system", label: "Colours: as the system" },
  light: { icon: "sun", label: "Colours: light" },
  dark: { icon: "moon", label: "Colours: dark" },
} as const;

export function ThemeButton() {
  return <Button {...LOOKS[theme.value]} iconOnly kind="quiet" onClick={nextTheme} />;
}
