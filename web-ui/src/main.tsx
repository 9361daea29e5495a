import { render } from "preact";
import { App } from "./views/App";
import { applyTheme } from "./ui/theme";
import { arrive } from "./ui/app-state";
import "./ui/styles/base.css";
import "./ui/styles/shell.css";
import "./ui/styles/door.css";
import "./ui/styles/live.css";
import "./ui/styles/playback.css";

applyTheme();
const root = document.getElementById("app");
if (root) render(<App />, root);
void arrive();
