// The pages of Steadfast.

import { render } from "preact";
import { App } from "./pages/app.tsx";
import { startRouter } from "./router.ts";
import "./style/tokens.css";
import "./style/base.css";
import "./style/list.css";
import "./style/run.css";

startRouter();
render(<App />, document.getElementById("app")!);
