"""简体中文。"""

TEXTS = {
    # engine
    # prompt
    "prompt.no_template": "这个模型文件没有自带对话模板，无法进行对话。",
    "prompt.template_broken": "无法解析这个模型文件自带的对话模板：{reason}",
    "prompt.template_failed": "这个模型文件自带的对话模板不接受当前对话：{reason}",
    "prompt.tool_schema_broken": "有一个工具的描述不是 JSON 对象：{reason}",
    # store
    "store.disk_full": "聊天记录未能保存：磁盘空间已满（{path}）。",
    "store.no_database": "{path} 不是聊天数据库。",
    "store.damaged": "聊天数据库 {path} 已损坏（{reason}）；可以用同一文件夹中日期最新的备份替换它。",
    "store.not_writable": "无法写入聊天数据库 {path}（{reason}）。",
    "store.busy": "聊天数据库 {path} 一直被其他程序占用，请稍后再试。",
    "store.failed": "无法使用聊天数据库 {path}（{reason}）。",
    "store.closed": "聊天数据库已经关闭。",
    "store.newer": "聊天数据库 {path} 由更新版本的 qwen3-chat 写入"
    "（数据版本 {version}，当前程序支持到 {known}），请先升级程序。",
    "store.foreign": "{path} 是其他程序的数据库。",
    "store.no_backup": "升级前无法在 {path} 创建备份（{reason}），聊天数据库保持原样。",
    "store.no_such_chat": "没有编号为 {chat_id} 的对话。",
    "store.no_such_message": "这个对话里没有编号为 {message_id} 的消息。",
    # export
    # scripts
    "scripts.making": "正在 {folder} 中创建 Python 环境……",
    "scripts.compiling_first": "开始安装。首次运行需要为本机编译 llama.cpp，双核约 4 分钟。完整日志：{log}",
    "scripts.installing": "正在安装有变动的部分。完整日志：{log}",
    "scripts.ready": "安装完成，用时 {duration}。",
    "scripts.waiting": "另一个进程正在这里安装，等它完成……",
    "scripts.remaking.interrupted": "上次安装中途中断，现在重新安装。",
    "scripts.remaking.moved": "项目文件夹换了位置，原来的 .venv 不能再用，现在重建。",
    "scripts.remaking.broken": "现有的 .venv 与本机的 Python 已不匹配，现在重建。",
    "scripts.interrupted": "已停止。再次运行同一条命令即可继续。",
    "scripts.no_compiler": "需要在本机编译 llama.cpp，但没有找到 {language} 编译器；请先运行：{command}",
    "scripts.no_compiler_no_command": "需要在本机编译 llama.cpp，但没有找到 {language} 编译器；"
    "请先安装 GCC 或 Clang 等编译器。",
    "scripts.no_venv": "当前的 Python 缺少 venv 模块；请先运行：{command}",
    "scripts.no_venv_no_command": "当前的 Python 无法创建虚拟环境（缺少 venv 或 ensurepip 模块），请换用完整的 Python。",
    "scripts.failed.network": "连不上软件包索引。请检查网络，或用 PIP_INDEX_URL 指定镜像。完整日志：{log}",
    "scripts.failed.disk": "磁盘空间不足。完整日志：{log}",
    "scripts.failed.memory": "编译时内存不足；设置 CMAKE_BUILD_PARALLEL_LEVEL=1 可以少用一些内存。完整日志：{log}",
    "scripts.failed.other": "安装失败，原因见上面几行。完整日志：{log}",
    "scripts.failed.system": "安装失败：{reason}",
    "scripts.step.retrying": "连接失败，正在重试",
    "scripts.step.collecting": "正在查找 {subject}",
    "scripts.step.downloading": "正在下载 {subject}",
    "scripts.step.build_tools": "正在获取构建工具",
    "scripts.step.building": "正在构建 {subject}",
    "scripts.step.compiling": "正在编译 llama.cpp  {percent}  {subject}",
    "scripts.step.installing": "正在安装软件包",
    "scripts.test.failed": "未通过：{name}。其后的步骤没有运行。",
    "scripts.bench.usage": "用法：python3 scripts/bench {names} [选项]",
    "scripts.bench.missing": "当前代码中还没有 {name} 的性能测试。",
    # cli
    # ui
}
