"""Any server that speaks OpenAI's protocol: `vllm serve`, SGLang, llama.cpp, a hosted one. Texts come from it, never scores."""

from aftune.common.extras import needed

needed("openai", "tenacity", extra="openai", purpose="engine: openai")
